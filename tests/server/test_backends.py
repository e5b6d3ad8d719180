"""A backend that fails while the server starts: who serves then, and who is told."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.graphs import GraphsBackend
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.unprepared import UnpreparedCalls
from kandinsky_server.testing.device import DEVICE
from kandinsky_server.testing.running import RunningServer
from torch import Tensor, nn

from tests.backends.pretended import PretendedRecorder
from tests.server.test_metrics import Scrape

Around = Callable[[Network, tuple[Tensor, ...]], tuple[Tensor, ...]]


class Strange:
    """Eager, but for UNets: their calls are made by ``around``. ``preparing`` is told for how many rows."""

    name = "strange"

    def __init__(self, around: Around, preparing: Callable[[int], None] = lambda rows: None) -> None:
        self.around = around
        self.preparing = preparing

    def probe(self, device: torch.device) -> None:
        pass

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        eager = EagerNetwork(network)
        if role is Role.UNET:
            self.preparing(max(shape.rows for shape in shapes))
        return (lambda *inputs: self.around(eager, inputs)) if role is Role.UNET else eager


class OneSize:
    """Eager, but it counts calls of other sizes than the one that it was prepared for."""

    name = "one-size"

    def probe(self, device: torch.device) -> None:
        pass

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        return OneSizeNetwork(network, role, shapes[0].samples[0])


class OneSizeNetwork:
    def __init__(self, module: nn.Module, role: Role, sample: tuple[int, ...]) -> None:
        self.unprepared = UnpreparedCalls(role)
        self._eager = EagerNetwork(module)
        self._sample = sample

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if inputs[0].shape[1:] != self._sample:
            self.unprepared.note(inputs)
        return self._eager(*inputs)


def off_by_one(eager: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(output + 1 for output in eager(*inputs))


def unlaunched(eager: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    raise OSError("kernel launch failed")


def small(eager: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if len(inputs[0]) > 4:
        raise torch.OutOfMemoryError("out of memory")
    return eager(*inputs)


@pytest.fixture
def serve(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunningServer]:
    """Makes a server, not entered yet, whose decoder stage runs on a strange backend."""

    def serve(
        around: Around, preparing: Callable[[int], None] = lambda rows: None, **settings: Any
    ) -> RunningServer:
        monkeypatch.setattr(
            "kandinsky_server.startup.load_options.get_backend", lambda *_: Strange(around, preparing)
        )
        return RunningServer(decoder=str(tiny_model / "decoder"), **settings)

    return serve


@contextmanager
def refused(server: RunningServer) -> Iterator[pytest.ExceptionInfo[BackendUnavailable]]:
    """A server that does not start, stopped."""
    with pytest.raises(BackendUnavailable) as raised, server:
        pass
    yield raised
    server.__exit__()


@pytest.mark.parametrize(
    ("around", "kind", "reason"),
    [
        (off_by_one, "Parity", "differs from eager by 1"),
        (unlaunched, "OSError", "OSError: kernel launch failed"),
    ],
)
def test_eager_serves_what_a_backend_cannot_and_everyone_is_told(
    serve: Callable[..., RunningServer], around: Around, kind: str, reason: str
) -> None:
    with serve(around) as server, server.client() as client:
        (stage,) = [stage for stage in client.info().stages if stage.loaded]
        assert stage.backend == "eager"
        assert reason in stage.fallback_reason
        scrape = Scrape(server)
    labels = {"stage": "decoder", "backend": "strange"}
    assert scrape("backend_fallback_total", **labels, reason=kind) == 1
    told = ("kandinsky_backend_parity_difference", tuple(sorted(labels.items()))) in scrape.samples
    assert told == (kind == "Parity"), "the difference is told under the backend that it is of"


def test_a_strict_server_does_not_start(serve: Callable[..., RunningServer]) -> None:
    with refused(serve(off_by_one, strict_backend=True)) as raised:
        assert "'strange' cannot run the unet network" in str(raised.value)


def test_rows_that_have_no_memory_are_not_asked_for(serve: Callable[..., RunningServer]) -> None:
    with serve(small, buckets=(1, 4), max_batch_rows=None) as server:
        network = server.app.model.networks["decoder"]
        assert (network.backend, network.max_rows) == ("strange", 4)


def plain(eager: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return eager(*inputs)


@pytest.mark.parametrize(
    ("room", "tried", "backend"), [(3, [8, 4, 2], "strange"), (0, [8, 4, 2, 1], "eager")]
)
def test_a_backend_without_memory_is_prepared_for_fewer_rows(
    serve: Callable[..., RunningServer], room: int, tried: list[int], backend: str
) -> None:
    asked: list[int] = []
    alive: list[weakref.ref[Tensor]] = []

    def preparing(rows: int) -> None:
        assert not [ref for ref in alive if ref() is not None], "what a failed attempt had is still there"
        asked.append(rows)
        program = torch.zeros(rows)
        alive.append(weakref.ref(program))
        if rows > room:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    gc.disable()
    try:
        with serve(plain, preparing, buckets=(1, 8)) as server:
            assert server.app.model.networks["decoder"].backend == backend
        assert not [ref for ref in alive if ref() is not None], "what the last attempt had is still there"
    finally:
        gc.enable()
    assert asked == tried


@pytest.mark.slow
def test_rows_are_halved_until_they_fit_however_few_of_the_largest_size_there_are(
    serve: Callable[..., RunningServer],
) -> None:
    """Four rows of 128 pixels are one of 256: it is the smaller ones that do not fit."""
    asked: list[int] = []

    def preparing(rows: int) -> None:
        asked.append(rows)
        if rows > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with serve(plain, preparing, buckets=(1, 4), sizes=("128x128", "256x256")) as server:
        assert server.app.model.networks["decoder"].backend == "strange"
    assert asked == [4, 2]


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_a_device_that_is_lost_while_preparing_ends_the_start(
    serve: Callable[..., RunningServer], calls: int
) -> None:
    """In the preparation, held to eager, or measured: eager would be lost as well."""
    left = calls

    def lose(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    def lost(eager: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        lose()
        return eager(*inputs)

    server = serve(lost, lose)
    with pytest.raises(torch.AcceleratorError), server:
        pass
    server.__exit__()


def test_no_more_rows_are_tried_than_batches_may_have(serve: Callable[..., RunningServer]) -> None:
    most = 0

    def counted(eager: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal most
        most = max(most, len(inputs[0]))
        return eager(*inputs)

    with serve(counted, max_batch_rows=2):
        assert most == 2


@pytest.mark.slow
def test_calls_of_unprepared_sizes_are_counted_and_each_is_told_once(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kandinsky_server.startup.load_options.get_backend", lambda *_: OneSize())
    with RunningServer(tiny_model) as server, server.client() as client:
        pair = client.prior("a red circle", step_count=2, seed=1)
        client.decode(pair, step_count=2, seed=1)
        assert not Scrape(server).sum("unprepared_calls_total")
        with caplog.at_level(logging.INFO, "kandinsky_backends"):
            for seed in (1, 2):
                client.decode(pair, step_count=3, seed=seed, width_px=128)
        scrape = Scrape(server)
    assert scrape("unprepared_calls_total", network="decoder") == 6
    assert scrape("unprepared_calls_total", network="movq_decoder") == 2
    told = [record.getMessage() for record in caplog.records if "runs eagerly" in record.getMessage()]
    assert len(told) == 2
    assert "The unet network runs eagerly on (2, 4, 8, 16)" in told[0]


@pytest.mark.slow
def test_graphs_make_eagers_picture_to_the_bit(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the native size, which is recorded before it is served, and at one that is recorded under way."""
    pictures = []
    recorder = PretendedRecorder()
    for name in ("eager", "graphs"):
        if name == "graphs" and DEVICE.type != "cuda":
            backend = GraphsBackend(BackendOptions(), recorder)
            monkeypatch.setattr(
                "kandinsky_server.startup.load_options.get_backend", lambda *_, backend=backend: backend
            )
        with RunningServer(tiny_model, backend=name, dtype="fp32") as server, server.client() as client:
            assert {stage.backend for stage in client.info().stages if stage.loaded} == {name}
            pair = client.prior("a red circle", step_count=3, seed=1)
            for width in (64, 128):
                made = client.decode(pair, step_count=16, seed=1, width_px=width, format="raw_rgb_f32")
                pictures.append(made[0].array)
    np.testing.assert_array_equal(pictures[0], pictures[2])
    np.testing.assert_array_equal(pictures[1], pictures[3])
    if DEVICE.type != "cuda":
        assert (2, 4, 8, 16) in recorder.recorded


@pytest.mark.slow
def test_rows_that_go_missing_are_the_backends_fault(
    serve: Callable[..., RunningServer], tiny_model: Path
) -> None:
    served = False

    def forgetful(eager: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(output[:1] for output in eager(*inputs)) if served else eager(*inputs)

    with RunningServer(tiny_model) as plain, plain.client() as client:
        pair = client.prior("a red circle", step_count=2, seed=1)
        wanted = client.decode(pair, step_count=2, seed=1, format="raw_rgb_f32")[0]
    with serve(forgetful) as server, server.client() as client:
        served = True
        made = client.decode(pair, step_count=2, seed=1, format="raw_rgb_f32")[0]
        assert server.app.model.networks["decoder"].backend == "eager"
    np.testing.assert_array_equal(made.array, wanted.array)


OPENVINO = pytest.mark.skipif(DEVICE.type != "cpu", reason="OpenVINO is for CPUs")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", pytest.param("openvino", marks=OPENVINO)])
def test_half_precision_makes_the_picture_that_full_precision_makes(toy_model: Path, backend: str) -> None:
    pictures = []
    for dtype in ("fp32", "bf16"):
        with (
            RunningServer(
                toy_model, dtype=dtype, backend=backend, max_batch_rows=2, strict_backend=True
            ) as server,
            server.client() as client,
        ):
            loaded = [stage for stage in client.info().stages if stage.loaded]
            assert {(stage.dtype, stage.backend) for stage in loaded} == {(dtype, backend)}
            prompt = "a large red circle in the middle on a blue background"
            made = client.generate(prompt, seed=1, prior_step_count=5, step_count=8, format="raw_rgb_f32")
            pictures.append(np.asarray(made[0].array))
    difference = np.abs(pictures[0] - pictures[1]).mean()
    assert 0 < difference < 0.05


def test_weights_that_change_in_a_try_that_found_no_memory_are_found_out(
    serve: Callable[..., RunningServer],
) -> None:
    """The next try must not take them for what they were."""
    tried: list[int] = []

    def spoiling(eager: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        tried.append(len(inputs[0]))
        if len(tried) == 1:
            assert isinstance(eager, EagerNetwork)
            next(eager.module.parameters()).data.add_(1)
            raise torch.OutOfMemoryError("out of memory")
        return eager(*inputs)

    with refused(serve(spoiling, buckets=(1, 4))) as raised:
        assert "It changed the network's weights" in str(raised.value)
