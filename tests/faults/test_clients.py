"""Clients that vanish, stall or crowd: the others are served, and nothing of theirs stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from kandinsky_server.engine.network import Call
from kandinsky_server.testing.calls import ENDLESS
from kandinsky_server.testing.running import RunningServer, StartingServer
from torch import Tensor

from tests.support.lone_client import lone_client, wait_for
from tests.support.patience import eventually
from tests.support.raw import Raw, connected, rest
from tests.support.requests import decode
from tests.support.traces import Traces
from tests.support.wire import HEADERS, Wire
from tests.support.wrapped import wrap

pytestmark = pytest.mark.slow

CONNECTIONS = 200
NARROW_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
"""The window of flow control stays at 64 KiB, so that a client that does not read is felt soon."""


@pytest.fixture
def before(server: RunningServer, raw: Raw) -> Traces:
    """What there is while nobody asks for anything."""
    assert raw.call("Decode", decode()).code == grpc.StatusCode.OK
    eventually(lambda: server.idle)
    return Traces.of(server)


def ends(server: RunningServer) -> Counter[str]:
    """Decodes that have ended, by code."""
    samples = [sample for metric in server.app.metrics.requests.collect() for sample in metric.samples]
    return Counter(
        {sample.labels["code"]: int(sample.value) for sample in samples if sample.name.endswith("_total")}
    )


@pytest.fixture
def cancelled(server: RunningServer, before: Traces, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whoever goes away is counted as that, whatever was under way, and nobody is alarmed."""
    first = ends(server)
    yield
    assert set(ends(server) - first) <= {"OK", "CANCELLED"}
    assert (ends(server) - first)["CANCELLED"] >= 1
    assert "ERROR" not in {record.levelname for record in caplog.records}


def others_are_served(raw: Raw) -> None:
    assert raw.call("Decode", decode(step_count=3)).kinds[-1] == "completed"


@pytest.mark.usefixtures("cancelled")
def test_a_client_killed_while_it_waits_for_a_seat(
    server: RunningServer, raw: Raw, before: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return inner(*inputs)

    monkeypatch.setattr(wrap(server, monkeypatch, alone), "max_rows", 2)
    running = raw.image_service.Decode(decode(step_count=ENDLESS))
    assert [next(running).event.WhichOneof("kind") for _ in range(2)] == ["queued", "progress"]
    with lone_client(server.target, "Decode", ENDLESS, 64) as process:
        wait_for(process, "queued")
        eventually(lambda: len(server.app.engine.active) == 3)
        waiting = [run for run in server.app.engine.active if run.started is None]
        assert len(waiting) == 2
        process.kill()
        eventually(lambda: len(server.app.engine.active) == 1)
    assert all(run.trajectory.step == 0 for run in waiting)
    assert next(running).event.WhichOneof("kind") == "progress"
    running.cancel()
    before.left_by_nobody(server)


@pytest.mark.usefixtures("cancelled")
def test_a_client_killed_while_its_images_are_denoised(
    server: RunningServer, raw: Raw, before: Traces
) -> None:
    with lone_client(server.target, "Decode", ENDLESS, 64) as process:
        wait_for(process, "progress")
        running = raw.image_service.Decode(decode(step_count=20))
        process.kill()
        assert rest(running).kinds[-1] == "completed"
    before.left_by_nobody(server)


@pytest.mark.usefixtures("cancelled")
def test_a_client_killed_while_its_images_are_sent(server: RunningServer, raw: Raw, before: Traces) -> None:
    """Images of 3 MiB each: the window is full long before they are through."""
    with lone_client(server.target, "Decode", 1, 512, "image") as process:
        wait_for(process, "image")
        others_are_served(raw)
        assert len(server.app.admission.tickets) == 1, "it still holds its place"
        process.kill()
    before.left_by_nobody(server)


def test_a_client_that_does_not_read_costs_no_previews_and_gets_its_image_when_it_does(
    server: RunningServer, raw: Raw, before: Traces
) -> None:
    steps = 300
    request = decode(step_count=steps)
    request.options.preview_interval_steps = 1
    first = len(server.recorder.steps)
    with grpc.insecure_channel(server.target, NARROW_WINDOW) as channel:
        stalled = Raw(channel).image_service.Decode(request)
        assert next(stalled).event.WhichOneof("kind") == "queued"
        others_are_served(raw)
        eventually(lambda: not server.app.engine.active)
        networks = [
            report.lane.network
            for report in server.recorder.steps[first:]
            if any(ticket is held for ticket, _ in report.members for held in server.app.admission.tickets)
        ]
        assert networks[-1] != "decoder", "the last call made the image's pixels"
        assert set(networks[-101:-1]) == {"decoder"}, "previews were made that nobody read"
        assert len(server.app.admission.tickets) == 1
        kinds = rest(stalled).kinds
    assert kinds[-2:] == ["image", "completed"]
    assert 0 < kinds.count("preview") < steps / 2
    before.left_by_nobody(server)


@pytest.mark.usefixtures("cancelled")
def test_a_client_that_never_reads_stalls_nobody_and_leaves_nothing(
    server: RunningServer, raw: Raw, before: Traces
) -> None:
    large = decode(width_px=512, height_px=512, image_count=2, guidance_scale=1.0)
    with grpc.insecure_channel(server.target, NARROW_WINDOW) as channel:
        stalled = Raw(channel).image_service.Decode(large)
        eventually(lambda: bool(server.app.engine.active))
        eventually(lambda: not server.app.engine.active)
        others_are_served(raw)
        assert len(server.app.admission.tickets) == 1
        stalled.cancel()
    before.left_by_nobody(server)


LEAVING: dict[str, tuple[Callable[[Wire], None], dict[str, str]]] = {
    "hangs up": (lambda wire: wire.__exit__(), {}),
    "cancels": (lambda wire: wire.cancel(1), {}),
    "runs out of time": (lambda _: None, {"grpc_timeout": "500m"}),
}


@pytest.mark.parametrize("how", LEAVING)
def test_a_client_that_leaves_while_a_message_waits_for_it(
    server: RunningServer, before: Traces, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The write that waits fails before the call is cancelled."""
    first, (leave, headers) = ends(server), LEAVING[how]
    with Wire(server.target, window=0) as wire:
        wire.ask(1, "/kandinsky_api.v1.ImageService/Decode", decode(step_count=3), **headers)
        assert next(kind for kind, _, _ in wire.frames() if kind == HEADERS)
        leave(wire)
        eventually(lambda: bool(ends(server) - first))
    before.left_by_nobody(server)
    expected = "DEADLINE_EXCEEDED" if headers else "CANCELLED"
    assert ends(server) - first == Counter([expected])
    assert "ERROR" not in {record.levelname for record in caplog.records}


@pytest.mark.parametrize("service", ["", "decoder"])
def test_a_watcher_of_health_that_never_reads_holds_up_nothing(decoder: Path, service: str) -> None:
    """It opens its watch while the model is not loaded, and has no room for a single message."""
    with StartingServer(decoder) as server, connected(server.target) as raw, Wire(server.target, 0) as wire:
        wire.ask(1, "/grpc.health.v1.Health/Watch", health_pb2.HealthCheckRequest(service=service))
        assert next(kind for kind, _, _ in wire.frames() if kind == HEADERS)
        server.load()
        assert raw.serving() == raw.serving("decoder") == "SERVING"
        with ThreadPoolExecutor() as thread:
            running = raw.image_service.Decode(decode(step_count=ENDLESS))
            assert next(running).event.WhichOneof("kind") == "queued"
            drained = thread.submit(server.run, server.lifecycle.drain())
            eventually(lambda: raw.serving() == "NOT_SERVING")
            assert raw.call("Decode", decode()).reason == "DRAINING"
            running.cancel()
            drained.result()


def test_a_watcher_of_health_that_leaves_unread_is_not_worth_a_line(
    server: RunningServer, before: Traces, caplog: pytest.LogCaptureFixture
) -> None:
    with Wire(server.target, window=0) as wire:
        wire.ask(1, "/grpc.health.v1.Health/Watch", health_pb2.HealthCheckRequest())
        assert next(kind for kind, _, _ in wire.frames() if kind == HEADERS)
    before.left_by_nobody(server)
    assert "ERROR" not in {record.levelname for record in caplog.records}


def test_200_connections_at_once(server: RunningServer, before: Traces) -> None:
    def ask(seed: int) -> str:
        with grpc.insecure_channel(server.target, NARROW_WINDOW) as channel:
            return Raw(channel).call("Decode", decode(seed)).kinds[-1]

    with ThreadPoolExecutor(CONNECTIONS) as clients:
        answers = list(clients.map(ask, range(CONNECTIONS)))
    assert answers == ["completed"] * CONNECTIONS
    before.left_by_nobody(server)
