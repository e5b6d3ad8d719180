"""Networks that go wrong in the middle of a batch: who gets which error, and that the others are right."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from kandinsky_server.engine.network import Call
from kandinsky_server.testing.running import RunningServer
from torch import Tensor

from tests.support.patience import eventually
from tests.support.raw import Answer, Raw, connected, pair
from tests.support.requests import decode, pixels
from tests.support.wrapped import once_together, wrap

STEPS = 6
TOLERANCE = 1e-3


def together(raw: Raw, requests: list[Any]) -> list[Answer]:
    with ThreadPoolExecutor(len(requests)) as clients:
        return list(clients.map(lambda request: raw.call("Decode", request), requests))


def same(answer: Answer, alone: Answer) -> bool:
    return bool(np.abs(pixels(answer) - pixels(alone)).max() <= TOLERANCE)


def counted(server: RunningServer, name: str, **labels: str) -> float:
    return server.app.metrics.registry.get_sample_value(name, labels) or 0.0


def area_of(server: RunningServer) -> int:
    """Of the decoder's latents at its native size."""
    stage = server.app.model.decoders["decoder"]
    return int(stage.native_size // stage.factor) ** 2


@pytest.fixture(autouse=True)
def _nothing_stays(server: RunningServer) -> Any:
    yield
    eventually(lambda: server.idle)


def test_one_trajectory_that_turns_nan_fails_alone(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [decode(seed, step_count=STEPS) for seed in (1, 2, 3)]
    alone = [raw.call("Decode", request) for request in requests]
    sick = torch.frombuffer(bytearray(pair(2).positive.data), dtype=torch.float32)
    spoilt = []

    def poison(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (output,) = inner(*inputs)
        rows = (inputs[2] == sick).all(dim=1)
        if rows.any() and len(rows) == 6:
            spoilt.append(len(rows))
            output = output.masked_fill(rows[:, None, None, None], float("nan"))
        return (output,)

    wrap(server, monkeypatch, once_together(server, 3, poison))
    first, second, third = together(raw, requests)
    assert spoilt, "the three never shared a call"
    assert (second.code, second.reason) == (grpc.StatusCode.INTERNAL, "NON_FINITE")
    assert not second.images
    assert same(first, alone[0])
    assert same(third, alone[2])


def test_eager_takes_over_from_a_backend_that_raises_mid_batch(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [decode(seed, step_count=STEPS) for seed in (1, 2)]
    alone = [raw.call("Decode", request) for request in requests]
    labels = {"stage": "decoder", "backend": "brittle", "reason": "RuntimeError"}
    before = counted(server, "kandinsky_backend_fallback_total", **labels)
    sizes: list[int] = []

    def brittle(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        sizes.append(len(inputs[0]))
        if len(sizes) == 3:
            raise RuntimeError("a kernel that this device does not have")
        return inner(*inputs)

    network = wrap(server, monkeypatch, once_together(server, 2, brittle), backend="brittle")
    answers = together(raw, requests)
    assert [same(*both) for both in zip(answers, alone, strict=True)] == [True, True]
    assert sizes[1:] == [4, 4], "both in the batch that failed, and nobody asked the backend again"
    assert (network.backend, network.fallback) == ("eager", None)
    assert counted(server, "kandinsky_backend_fallback_total", **labels) == before + 1


def test_out_of_memory_halves_the_batch_lowers_the_cap_and_all_succeed(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = decode(5, step_count=STEPS, image_count=4)
    alone = raw.call("Decode", request)
    before = counted(server, "kandinsky_out_of_memory_total", stage="decoder")
    sizes: list[int] = []

    def small(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return inner(*inputs)

    network = wrap(server, monkeypatch, once_together(server, 4, small))
    answer = raw.call("Decode", request)
    assert answer.kinds[-1] == "completed"
    assert same(answer, alone)
    assert network.rows_for(area_of(server)) == 2
    assert counted(server, "kandinsky_out_of_memory_total", stage="decoder") > before
    refused = [index for index, size in enumerate(sizes) if size > 2]
    assert refused, "the batch was never too large"
    assert refused[-1] < len(sizes) - 4 * (STEPS - 2), "the cap was learnt once, not met at every step"


def test_small_images_keep_their_rows_when_large_ones_did_not_fit(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = decode(6, step_count=STEPS, image_count=4)
    sizes: list[tuple[int, int]] = []

    def limited(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rows, *_, height, width = inputs[0].shape
        sizes.append((rows, height * width))
        if rows * height * width > 8 * area_of(server):
            raise torch.OutOfMemoryError("out of memory")
        return inner(*inputs)

    wrap(server, monkeypatch, once_together(server, 4, limited))
    side = 2 * server.app.model.decoders["decoder"].native_size
    large = decode(6, step_count=STEPS, image_count=4, width_px=side, height_px=side)
    assert raw.call("Decode", large).kinds[-1] == "completed"
    assert max(rows for rows, _ in sizes) > 2, "the large ones never met"
    sizes.clear()
    assert raw.call("Decode", small).kinds[-1] == "completed"
    assert max(rows for rows, _ in sizes) == 8


def test_one_image_that_does_not_fit_is_told_to_be_smaller(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        raise torch.OutOfMemoryError("secret: 3 MiB of 80 GiB")

    with monkeypatch.context() as patch:
        wrap(server, patch, none_left, backend="brittle")
        answer = raw.call("Decode", decode(), x_request_id="too-large")
    assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "BACKEND_FAILED")
    assert "smaller" in answer.message
    assert "secret" not in answer.message
    (failure,) = [record for record in caplog.records if record.message == "network decoder failed"]
    assert vars(failure)["request_id"] == answer.request_id == "too-large"
    assert "secret" in str(failure.exc_info)
    assert raw.call("Decode", decode()).code == grpc.StatusCode.OK


def test_the_drain_limit_does_not_wait_for_a_step(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        entered.set()
        go_on.wait(60)
        return inner(*inputs)

    with RunningServer(decoder=str(tiny_model / "decoder"), drain_seconds=0.1) as server:
        wrap(server, monkeypatch, slow)
        with connected(server.target) as raw, ThreadPoolExecutor(1) as thread:
            answer = thread.submit(raw.call, "Decode", decode())
            assert entered.wait(60)
            server.run(server.lifecycle.drain())
            ended = answer.result(30)
            go_on.set()
    assert (ended.code, ended.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
