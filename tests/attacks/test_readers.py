"""Clients that read slowly or never: what they hold is bounded and ends, and everybody else is served."""

from __future__ import annotations

import signal
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from kandinsky_api.v1 import prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.rpc import delivery
from kandinsky_server.testing.calls import ENDLESS
from kandinsky_server.testing.running import RunningServer

from tests.support.lone_client import lone_client, wait_for
from tests.support.patience import eventually
from tests.support.raw import Raw, connected, good_requests, only, rest
from tests.support.requests import decode
from tests.support.traces import Traces
from tests.support.wire import HEADERS, Wire

DECODE = "/kandinsky_api.v1.ImageService/Decode"
WINDOW_UPDATE = 8
QUICK_SECONDS = 0.1
"""How often an ended call is looked at in these tests."""

IMAGE_BYTES = 64 * 64 * 3 * 4
NEWS_ONLY = 8192
"""A window for what a request tells on its way, but not for an image. Without any, no work would be begun."""

NARROW = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
"""A window of 64 KiB a stream, so that a large image is felt."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "LAST_WORDS_SECONDS", QUICK_SECONDS)


@pytest.fixture(scope="module")
def decoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return only(tmp_path_factory.mktemp("readers") / "model", tiny_model, "decoder")


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    """A moment for each message."""
    with RunningServer(tiny_model, write_timeout_seconds=0.3) as running:
        yield running


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as connection:
        yield connection


@pytest.fixture
def before(server: RunningServer, raw: Raw) -> Traces:
    assert raw.call("Decode", decode()).code == grpc.StatusCode.OK
    eventually(lambda: server.idle)
    return Traces.of(server)


def ends(server: RunningServer) -> Counter[tuple[str, str]]:
    """Requests that have ended, by RPC and code."""
    samples = [sample for metric in server.app.metrics.requests.collect() for sample in metric.samples]
    counted = {(s.labels["rpc"], s.labels["code"]): s.value for s in samples if s.name.endswith("_total")}
    return Counter({key: int(value) for key, value in counted.items()})


def until_closed(wire: Wire) -> list[int]:
    """The kinds of frames that come until the server closes the connection."""
    try:
        return [kind for kind, _, _ in wire.frames()]
    except ConnectionResetError:
        return []


@pytest.mark.parametrize("seconds", [600, pytest.param(5, marks=pytest.mark.slow)])
def test_a_connection_that_reads_nothing_has_its_share_for_a_while_and_others_are_served(
    decoder: Path, seconds: float
) -> None:
    """16 requests of 16 images would fill the queue. The client leaves in the end, or its time is up."""
    with (
        RunningServer(decoder, write_timeout_seconds=seconds) as server,
        connected(server.target) as raw,
    ):
        assert raw.serving() == "SERVING"
        before = Traces.of(server)
        with Wire(server.target, window=0) as wire:
            for number in range(16):
                wire.ask(2 * number + 1, DECODE, decode(step_count=2, image_count=16))
            refused = ("Decode", "RESOURCE_EXHAUSTED")
            eventually(lambda: server.app.admission.length == 192 and ends(server)[refused] == 4)
            assert raw.call("Decode", decode()).code == grpc.StatusCode.OK
            if seconds < 60:
                until_closed(wire)
        before.left_by_nobody(server)
        ended = ends(server)
        # More than so many that stay unread close the connection, which cancels those whose time is not up.
        aborted = ended.pop(("Decode", "ABORTED"), 0)
        assert aborted > delivery.UNREAD_CALLS if seconds < 60 else aborted == 0
        cancelled = Counter({("Decode", "CANCELLED"): 12 - aborted})
        assert ended == Counter({refused: 4, ("Decode", "OK"): 1}) + cancelled


def silent_calls() -> dict[str, tuple[str, Message]]:
    """A call of every kind whose answer nobody reads."""
    requests = good_requests()
    requests["Prior"] = prior_pb2.PriorRequest(
        prompts=["unread"] * 4, sampling=pb.PriorSampling(image_count=4, step_count=2, seed=5)
    )
    requests["Generate"].options.preview_interval_steps = 1
    requests["Generate"].options.preview_max_px = 1024
    calls: dict[str, tuple[str, Message]] = {}
    for rpc, request in requests.items():
        service = "PriorService" if rpc in ("Prior", "Interpolate") else "ImageService"
        calls[rpc] = f"/kandinsky_api.v1.{service}/{rpc}", request
    info = server_pb2.GetServerInfoRequest()
    calls["GetServerInfo"] = "/kandinsky_api.v1.ServerService/GetServerInfo", info
    estimate = server_pb2.EstimateRequest(decode=decode())
    calls["Estimate"] = "/kandinsky_api.v1.ServerService/Estimate", estimate
    for rpc in ("Check", "Watch", "List"):
        calls[rpc] = f"/grpc.health.v1.Health/{rpc}", health_pb2.HealthCheckRequest()
    for version in ("v1", "v1alpha"):
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        calls[version] = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", question
    return calls


@pytest.mark.parametrize("name", silent_calls())
def test_no_answer_waits_for_ever_to_be_read(server: RunningServer, before: Traces, name: str) -> None:
    path, request = silent_calls()[name]
    first = ends(server)
    with Wire(server.target, window=0) as wire:
        wire.ask(1, path, request)
        assert HEADERS in until_closed(wire)
    before.left_by_nobody(server)
    if path.startswith("/kandinsky"):
        assert ends(server) - first == Counter([(name, "ABORTED")])


@pytest.mark.slow
def test_an_unread_call_leaves_those_on_its_connection_alone_and_hears_why_it_ended(decoder: Path) -> None:
    """Two calls whose client reads one after the other."""
    large = decode(width_px=512, height_px=512, guidance_scale=1.0)
    with (
        RunningServer(decoder, write_timeout_seconds=0.5) as server,
        grpc.insecure_channel(server.target, NARROW) as channel,
    ):
        raw = Raw(channel)
        read, unread = raw.image_service.Decode(decode(step_count=ENDLESS)), raw.image_service.Decode(large)
        assert next(read).event.WhichOneof("kind") == "queued"
        eventually(lambda: ends(server)[("Decode", "ABORTED")] == 1)
        time.sleep(5 * QUICK_SECONDS)
        assert [next(read).event.WhichOneof("kind") for _ in range(3)] == ["progress"] * 3
        answer = rest(unread)
        read.cancel()
    assert (answer.code, answer.reason) == (grpc.StatusCode.ABORTED, "NOT_READ")
    assert answer.request_id


def steps_of(server: RunningServer, network: str) -> int:
    """Trajectory steps taken in a network."""
    return sum(len(report.members) for report in server.recorder.steps if report.lane.network == network)


def test_images_are_not_worked_on_for_who_does_not_read_and_go_on_when_it_does(decoder: Path) -> None:
    """Three images of 48 KiB have room; the slots are few, so that the images do not all end at once."""
    unread = 3 * IMAGE_BYTES
    with (
        RunningServer(decoder, max_request_unread_bytes=unread, max_batch_rows=2) as server,
        connected(server.target) as raw,
        Wire(server.target, NEWS_ONLY) as wire,
    ):
        budget = server.app.unread.allotment
        wire.ask(1, DECODE, decode(step_count=5, image_count=16))
        eventually(lambda: budget.taken == unread)
        eventually(lambda: all(run.paused for run in server.app.engine.active))
        # The step that was under way when they were paused ends before another's first.
        assert raw.call("Decode", decode(step_count=5)).code == grpc.StatusCode.OK
        taken = steps_of(server, "decoder")
        assert taken < 5 * 16 / 2
        assert raw.call("Decode", decode(step_count=5)).code == grpc.StatusCode.OK
        assert steps_of(server, "decoder") == taken + 5, "the other's steps alone"
        assert budget.taken == unread
        for stream in (0, 1):
            wire.send(WINDOW_UPDATE, 0, stream, struct.pack(">I", 2**24))
        eventually(lambda: ends(server)[("Decode", "OK")] == 3)
        assert budget.taken == 0


@pytest.mark.slow
def test_unread_results_of_all_requests_together_are_bounded(decoder: Path) -> None:
    """Ten connections, each with eight images of 48 KiB, and room for ten in all; another still gets its own."""
    most = 10 * IMAGE_BYTES
    limits = {"max_unread_bytes": most, "max_request_unread_bytes": IMAGE_BYTES}
    with (
        RunningServer(decoder, write_timeout_seconds=2, **limits) as server,
        connected(server.target) as raw,
        ExitStack() as stack,
    ):
        budget = server.app.unread.allotment
        wires = [stack.enter_context(Wire(server.target, NEWS_ONLY)) for _ in range(10)]
        for wire in wires:
            wire.ask(1, DECODE, decode(image_count=8))
        eventually(lambda: budget.taken >= 9 * IMAGE_BYTES)
        assert raw.call("Decode", decode(step_count=3)).code == grpc.StatusCode.OK
        assert budget.taken <= most
        for wire in wires:
            until_closed(wire)
        eventually(lambda: server.idle)
        assert budget.taken == 0


@pytest.mark.slow
def test_a_preview_is_not_made_where_there_is_no_room_for_it(decoder: Path) -> None:
    request = decode(step_count=30)
    request.options.preview_interval_steps = 1
    kinds: list[str | None] = []
    with RunningServer(decoder, max_unread_bytes=1) as server, connected(server.target) as raw:
        with Wire(server.target, NEWS_ONLY) as wire:
            wire.ask(1, DECODE, decode())
            eventually(lambda: server.app.unread.allotment.taken == IMAGE_BYTES)
            call = raw.image_service.Decode(request)
            for response in call:
                kinds.append(response.event.WhichOneof("kind"))
                if response.event.progress.step == 30:
                    break
            assert server.app.admission.length == 2, "its image waits for room"
        last = rest(call).kinds
    assert set(kinds) == {"queued", "progress"}
    assert last == ["image", "completed"]


def test_a_request_has_a_longest_life(decoder: Path) -> None:
    with RunningServer(decoder, max_request_seconds=1) as server, connected(server.target) as raw:
        assert raw.serving() == "SERVING"
        before = Traces.of(server)
        # The cost of a step is not known yet, so nothing is refused.
        answer = raw.call("Decode", decode(step_count=ENDLESS, width_px=256, height_px=256))
        assert (answer.code, answer.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "REQUEST_TOO_LONG")
        assert "after 1 s" in answer.message
        assert answer.request_id
        before.left_by_nobody(server)
        refused = raw.call("Decode", decode(step_count=ENDLESS, width_px=256, height_px=256))
        assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DEADLINE_UNREACHABLE")
        assert "this server ends a request after 1.0 s; no retry helps" in refused.message
        assert raw.call("Decode", decode()).code == grpc.StatusCode.OK


@pytest.mark.slow
def test_a_reader_of_a_byte_at_a_time_has_a_longest_life_too(decoder: Path) -> None:
    """Each write gets on, and would for days."""
    with RunningServer(decoder, max_request_seconds=2) as server, Wire(server.target, window=0) as wire:
        before = Traces.of(server)
        wire.ask(1, DECODE, decode())
        done = threading.Event()

        def sip() -> None:
            while not done.wait(0.05):
                with suppress(OSError):
                    wire.send(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1))

        sipping = threading.Thread(target=sip)
        sipping.start()
        until_closed(wire)
        done.set()
        sipping.join()
        assert ends(server) == Counter([("Decode", "DEADLINE_EXCEEDED")])
    before.left_by_nobody(server)


@pytest.mark.slow
def test_a_drain_does_not_wait_for_who_does_not_read(decoder: Path) -> None:
    with RunningServer(decoder, write_timeout_seconds=0.5, drain_seconds=600) as server:
        with Wire(server.target, NEWS_ONLY) as wire:
            for number in range(4):
                wire.ask(2 * number + 1, DECODE, decode(image_count=4))
            eventually(lambda: server.app.admission.length == 16)
            server.run(server.lifecycle.drain())
            until_closed(wire)
        assert server.idle


LEAVING: dict[str, Callable[[Wire], None]] = {
    "resets the stream": lambda wire: wire.cancel(1),
    "closes its half": lambda wire: wire.finish(),
    "hangs up": lambda wire: wire.__exit__(),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", LEAVING)
def test_who_leaves_while_results_wait_gives_back_their_room(decoder: Path, how: str) -> None:
    with RunningServer(decoder, max_request_unread_bytes=2 * IMAGE_BYTES) as server:
        before = Traces.of(server)
        with Wire(server.target, NEWS_ONLY) as wire:
            wire.ask(1, DECODE, decode(image_count=8))
            eventually(lambda: server.app.unread.allotment.taken == 2 * IMAGE_BYTES)
            LEAVING[how](wire)
            eventually(lambda: ends(server) == Counter([("Decode", "CANCELLED")]))
        before.left_by_nobody(server)
        assert server.app.unread.allotment.taken == 0


@pytest.mark.slow
def test_a_client_that_pauses_for_20_seconds_gets_everything(decoder: Path) -> None:
    """As the server comes, with images that its window does not hold."""
    request = decode(width_px=512, height_px=512, guidance_scale=1.0, image_count=3)
    with RunningServer(decoder) as server, grpc.insecure_channel(server.target, NARROW) as channel:
        call = Raw(channel).image_service.Decode(request)
        assert next(call).event.WhichOneof("kind") == "queued"
        time.sleep(20)
        assert rest(call).kinds.count("image") == 3


@pytest.mark.slow
def test_a_client_that_is_stopped_is_ended_and_others_are_served(decoder: Path) -> None:
    with RunningServer(decoder, write_timeout_seconds=2) as server, connected(server.target) as raw:
        assert raw.serving() == "SERVING"
        before = Traces.of(server)
        with lone_client(server.target, "Decode", 1, 512, "image") as process:
            wait_for(process, "image")
            process.send_signal(signal.SIGSTOP)
            assert raw.call("Decode", decode()).code == grpc.StatusCode.OK
            eventually(lambda: ends(server)[("Decode", "ABORTED")] == 1)
            # The pipe to the client is this process' own.
            replace(before, files=before.files + 1).left_by_nobody(server)
            process.send_signal(signal.SIGCONT)
