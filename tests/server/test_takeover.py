"""A backend that takes long to prepare: eager serves until it is ready, and then it takes over, or never does."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_client import Embedding, EmbeddingPair, Kandinsky
from kandinsky_server.startup.loading import ModelLoader
from kandinsky_server.testing.running import RunningServer
from torch import Tensor, nn

from tests.server.test_metrics import Scrape
from tests.support.extras import needs
from tests.support.patience import eventually
from tests.support.process import Process
from tests.support.raw import only

CACHE = Path(__file__).parents[2] / ".cache" / "compiled"


class Patient:
    """A backend whose preparation of ``role`` ends when it is told to, well or not.

    Its networks add ``error``, and have memory for ``room`` rows; ``finished`` is how many each was finished for.
    It ``spoils`` weights in the method of that name.
    """

    name = "patient"

    def __init__(
        self,
        error: float = 0.0,
        failure: Exception | None = None,
        room: int = 1000,
        role: Role = Role.UNET,
        spoils: str = "",
    ) -> None:
        self.error = error
        self.failure = failure
        self.room = room
        self.role = role
        self.spoils = spoils
        self.finished: list[int] = []
        self.ready = threading.Event()
        self.cancelled = threading.Event()
        self.threads: set[str] = set()

    def probe(self, device: torch.device) -> None:
        pass

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        if role is not self.role:
            return EagerNetwork(network)
        preparation = self.begin(network, role, shapes)
        assert preparation
        preparation.wait()
        return preparation.finish(max(shape.rows for shape in shapes))

    def begin(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Preparing | None:
        return Preparing(self, network) if role is self.role else None


class Preparing:
    def __init__(self, backend: Patient, module: nn.Module) -> None:
        self.backend = backend
        self.eager = EagerNetwork(module)

    def wait(self) -> None:
        self.backend.ready.wait()
        self._spoil("wait")
        if self.backend.failure:
            raise self.backend.failure

    def _spoil(self, during: str) -> None:
        if self.backend.spoils == during:
            with torch.no_grad():
                next(self.eager.module.parameters()).add_(1)

    def cancel(self) -> None:
        self.backend.cancelled.set()
        self.backend.ready.set()

    def finish(self, rows: int) -> Network:
        self.backend.threads.add(threading.current_thread().name)
        self.backend.finished.append(rows)
        self._spoil("finish")
        return self._call

    def _call(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        self.backend.threads.add(threading.current_thread().name)
        if len(inputs[0]) > self.backend.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tuple(output + self.backend.error for output in self.eager(*inputs))


SOME = Embedding.from_array(np.full(64, 0.1, np.float32))
PAIR = EmbeddingPair(SOME, SOME)

Serve = Callable[..., RunningServer]


@pytest.fixture
def serve(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Makes a server, not entered yet, whose decoder stage is for the backend."""

    def serve(backend: Patient, **settings: Any) -> RunningServer:
        monkeypatch.setattr("kandinsky_server.startup.load_options.get_backend", lambda *_: backend)
        return RunningServer(decoder=str(tiny_model / "decoder"), **settings)

    return serve


def stage_of(client: Kandinsky) -> tuple[str, str]:
    (stage,) = [stage for stage in client.info().stages if stage.loaded]
    return stage.backend, stage.fallback_reason


def test_eager_serves_until_the_backend_is_ready_and_then_it_takes_over(serve: Serve) -> None:
    backend = Patient(error=1e-6)
    with serve(backend) as server, server.client() as client:
        network = server.app.model.networks["decoder"]
        name, reason = stage_of(client)
        assert name == network.backend == "eager"
        assert "being prepared" in reason
        assert Scrape(server).sum("backend_fallback_total") == 0
        backend.ready.set()
        eventually(lambda: stage_of(client) == ("patient", ""))
        assert network.backend == "patient"
        since = Scrape(server)("backend_serving_since_timestamp_seconds", stage="decoder", backend="patient")
        assert 0 <= time.time() - since < 3600
        assert backend.threads == {"engine"}


@pytest.mark.parametrize(
    ("backend", "kind", "reason"),
    [
        (Patient(error=1.0), "Parity", "differs from eager by 1"),
        (Patient(failure=OSError("no compiler")), "OSError", "no compiler"),
    ],
    ids=["wrong", "fails"],
)
def test_eager_stays_where_the_backend_fails_in_the_end_and_everyone_is_told(
    serve: Serve, backend: Patient, kind: str, reason: str
) -> None:
    with serve(backend) as server, server.client() as client:
        backend.ready.set()
        eventually(lambda: reason in stage_of(client)[1])
        assert server.app.model.networks["decoder"].backend == "eager"
        scrape = Scrape(server)
        assert scrape("backend_fallback_total", stage="decoder", backend="patient", reason=kind) == 1
        assert scrape("backend_serving_since_timestamp_seconds", stage="decoder", backend="patient") == 0
        assert server.recorder.fallbacks == [("decoder", "decoder", "patient", kind)]


@pytest.mark.parametrize(
    ("room", "backend", "finished"), [(3, "patient", [8, 4, 2]), (0, "eager", [8, 4, 2, 1])]
)
def test_a_backend_with_memory_for_fewer_rows_takes_over_with_those(
    serve: Serve, room: int, backend: str, finished: list[int]
) -> None:
    """Eager served up to eight; what finds no room beside it later is halved by the engine."""
    patient = Patient(room=room)
    with serve(patient, buckets=(1, 8)) as server, server.client() as client:
        network = server.app.model.networks["decoder"]
        patient.ready.set()
        eventually(lambda: "being prepared" not in stage_of(client)[1])
        assert stage_of(client)[0] == network.backend == backend
        client.decode(PAIR, step_count=1, image_count=4, seed=1)
        assert network.backend == backend
    assert patient.finished == finished


def test_before_one_row_is_given_up_the_backend_gives_back_what_it_holds(serve: Serve) -> None:
    class Holding(Patient):
        def release(self) -> None:
            self.room = 1000

    patient = Holding(room=0)
    with serve(patient, buckets=(1, 4)) as server:
        patient.ready.set()
        eventually(lambda: server.app.model.networks["decoder"].backend == "patient")
    assert patient.finished == [4, 2, 1, 1]


@pytest.mark.parametrize(
    "backend",
    [
        Patient(spoils="wait"),
        Patient(spoils="finish"),
        Patient(spoils="wait", failure=OSError("no compiler")),
    ],
    ids=["as it waits", "as it ends", "as it fails"],
)
def test_a_backend_that_changes_the_weights_in_the_background_ends_the_engine(
    serve: Serve, backend: Patient
) -> None:
    """As it is refused at the start: eager would make wrong pictures."""
    with serve(backend) as server:
        backend.ready.set()
        eventually(server.app.engine.failed.is_set)


def test_eager_comes_back_where_what_took_over_cannot_be_measured(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that are called once a request are measured once they have taken over."""
    backend = Patient(role=Role.MOVQ_DECODER)
    with serve(backend) as server, server.client() as client:

        def broken(*_: object) -> None:
            raise OSError("no clock")

        monkeypatch.setattr(ModelLoader, "_time", broken)
        network = server.app.model.networks["movq_decoder"]
        before = (network.call, network.max_rows, network.max_pixels)
        backend.ready.set()
        eventually(lambda: Scrape(server).sum("backend_fallback_total") == 1)
        assert (network.backend, network.fallback) == ("eager", None)
        assert (network.call, network.max_rows, network.max_pixels) == before
        client.decode(PAIR, step_count=1, seed=1)


def test_a_device_lost_in_a_takeover_ends_the_engine(serve: Serve) -> None:
    backend = Patient(failure=RuntimeError("CUDA error: an illegal memory access was encountered"))
    with serve(backend) as server:
        backend.ready.set()
        eventually(server.app.engine.failed.is_set)


def test_a_strict_server_waits_until_the_backend_is_ready(serve: Serve) -> None:
    backend = Patient()
    backend.ready.set()
    with serve(backend, strict_backend=True) as server, server.client() as client:
        assert stage_of(client) == ("patient", "")


def test_a_strict_server_does_not_start_where_the_backend_fails(serve: Serve) -> None:
    backend = Patient(failure=OSError("no compiler"))
    backend.ready.set()
    server = serve(backend, strict_backend=True)
    with pytest.raises(BackendUnavailable, match="no compiler"), server:
        pass
    server.__exit__()


def test_a_server_that_stops_cancels_what_is_being_prepared(serve: Serve) -> None:
    backend = Patient()
    with serve(backend):
        assert not backend.cancelled.is_set()
    assert backend.cancelled.is_set()
    assert not backend.threads, "nothing takes over in a server that stops"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("openvino", marks=needs("openvino")),
        pytest.param("compiled", marks=pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")),
    ],
)
def test_eager_serves_at_once_and_the_backend_takes_over_while_requests_run(
    tiny_model: Path, tmp_path: Path, backend: str
) -> None:
    """From a cache without programs; inductor's own is kept between runs of this test, which would take minutes."""
    (CACHE / "inductor").mkdir(parents=True, exist_ok=True)
    (tmp_path / "inductor").symlink_to(CACHE / "inductor")
    model = only(tmp_path / "model", tiny_model, "decoder")
    flags = (f"--backend={backend}", f"--backend-cache-dir={tmp_path}", "--log-format=json")
    values = np.random.default_rng(0).normal(size=(2, 64)).astype(np.float32)
    pictures: list[np.ndarray] = []
    backends: list[str] = []
    with Process(model, *flags) as server, Kandinsky(server.target("serving")) as client:
        positive, negative = map(Embedding.from_array, values)
        pair = EmbeddingPair(positive, negative)

        def decoded() -> str:
            """The backend of the decoder stage, after a picture."""
            made = client.decode(pair, step_count=2, seed=1, format="raw_rgb_f32")[0]
            pictures.append(np.asarray(made.array))
            backends.append({stage.name: stage.backend for stage in client.info().stages}["decoder"])
            return backends[-1]

        assert decoded() == "eager"
        limit = time.monotonic() + 800
        while decoded() == "eager":
            assert time.monotonic() < limit, server.errors
            time.sleep(0.5)  # the compiler has what requests leave
        decoded()
        metrics = _scrape(server)
        assert any(f"{backend} takes over decoder from eager" in line for line in server.errors)
        server.terminate()
        assert server.wait() == 0
    assert set(backends) == {"eager", backend}
    for picture in pictures:
        np.testing.assert_allclose(picture, pictures[0], atol=1e-3)
    taken_over = f'kandinsky_backend_serving_since_timestamp_seconds{{backend="{backend}",stage="decoder"}} '
    assert taken_over in metrics
    assert "kandinsky_backend_fallback_total{" not in metrics


def _scrape(server: Process) -> str:
    (line,) = [line for line in server.output if "metrics on port" in line]
    with urllib.request.urlopen(f"http://127.0.0.1:{line.split()[-1]}/metrics", timeout=30) as response:
        text: str = response.read().decode()
    return text
