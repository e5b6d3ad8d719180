"""Messages that are begun and not finished: nobody's bytes are read before there is a place for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from kandinsky_server.rpc import health, intake
from kandinsky_server.rpc.transport import WINDOW_BYTES
from kandinsky_server.testing.calls import ENDLESS
from kandinsky_server.testing.running import RunningServer

from benchmarks.attacks.unfinished import Unfinished, push_for
from benchmarks.attacks.vigil import Vigil
from tests.support.patience import eventually
from tests.support.process import Process
from tests.support.raw import Raw, connected, good_requests, only, picture

MIB = 2**20
MESSAGE, BUDGET = 8 * MIB, 32 * MIB
CONNECTIONS, CALLS = 16, 8
ALLOCATED = 3
"""How much more than a message's bytes its slices take, and what was freed and not yet given back."""

TOKEN, OTHER_TOKEN = "the-token-of-hostiles", "the-token-of-others"
STRANGERS = ["Health/Check", "Health/Watch", "Health/List"]
PRIOR = "/kandinsky_api.v1.PriorService/Prior"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


@pytest.fixture(scope="module")
def narrow(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server with four places for messages: one for health, three for requests."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    tokens.write_text(f'[hostile]\ntoken = "{TOKEN}"\n[other]\ntoken = "{OTHER_TOKEN}"\n')
    flags = [f"--max-message-bytes={MESSAGE}", f"--max-receiving-bytes={BUDGET}", "--receive-seconds=3"]
    with Process(tiny_model, *flags, f"--tokens-file={tokens}") as process:
        process.target("serving")
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("path", [*(f"/grpc.health.v1.{name}" for name in STRANGERS), PRIOR, REFLECTION])
def test_messages_that_do_not_end_hold_no_more_than_their_budget(narrow: Process, path: str) -> None:
    """Whoever may send them, and while others are served."""
    target, headers = narrow.target("serving"), {"authorization": f"Bearer {TOKEN}"}
    if path.startswith("/grpc.health"):
        headers = {}
    with Vigil(target, narrow.process.pid, OTHER_TOKEN) as vigil, ExitStack() as stack:
        senders = [
            stack.enter_context(Unfinished(target, path, CALLS, MESSAGE - 1, headers, again=True))
            for _ in range(CONNECTIONS)
        ]
        push_for(senders, seconds=4, most_bytes=40 * BUDGET)
    windows = CONNECTIONS * CALLS * WINDOW_BYTES
    assert vigil.growth_mib * MIB < ALLOCATED * (BUDGET + windows)
    assert not vigil.failures


@pytest.mark.slow
def test_a_message_that_trickles_is_ended_in_time_and_told_why(narrow: Process) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with Unfinished(narrow.target("serving"), PRIOR, 1, MESSAGE - 1, headers) as sender:
        while not sender.ended:
            push_for([sender], seconds=0.2, most_bytes=MIB, at_once=1)
    assert b"the message did not arrive within 3 s" in sender.ended[0]


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Three places for requests, as above."""
    limits = {"max_message_bytes": MESSAGE, "max_receiving_bytes": BUDGET, "receive_seconds": 600.0}
    model = only(tmp_path_factory.mktemp("model"), tiny_model, "prior", "decoder")
    with RunningServer(model, **limits) as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


def test_slow_senders_keep_no_one_out(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More connections than places, all trickling; each call has its patience, and the next is anybody's."""
    monkeypatch.setattr(server.app.intake.requests, "patience", 0.1)
    with ExitStack() as stack:
        senders = [
            stack.enter_context(Unfinished(server.target, PRIOR, 2, MESSAGE - 1, again=True))
            for _ in range(6)
        ]
        eventually(lambda: len(server.app.intake.requests.waiting) > 2)
        for _ in range(3):
            push_for(senders, seconds=0.1, most_bytes=MIB, at_once=1)
            assert raw.call("Prior", good_requests()["Prior"]).code == StatusCode.OK
        push_for(senders, seconds=0.1, most_bytes=MIB, at_once=1)
    told = [trailers for sender in senders for trailers in sender.ended]
    assert told
    assert all(b"others wait while this message takes its time" in trailers for trailers in told)
    eventually(lambda: not server.app.intake.requests.readings and not server.app.intake.requests.waiting)


def test_one_connection_cannot_fill_the_waiting_room(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kandinsky_server.rpc.receiving.WAITING", 20)
    monkeypatch.setattr(server.app.intake.requests, "patience", 0.1)
    with Unfinished(server.target, PRIOR, 40, MESSAGE - 1) as sender:
        while len(sender.ended) < 17:
            push_for([sender], seconds=0.1, most_bytes=MIB, at_once=1)
        assert all(b"too many calls wait" in trailers for trailers in sender.ended)
        assert raw.call("Prior", good_requests()["Prior"]).code == StatusCode.OK


def test_the_answer_that_there_is_no_room_says_when_to_come_back(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.app.intake.holding.bytes, "size", MIB)
    request = good_requests()["Img2Img"]
    request.image.data = bytes(2 * MIB)
    answer = raw.call("Img2Img", request)
    assert (answer.code, answer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "RECEIVING_FULL")
    assert answer.retry_seconds
    assert raw.call("Decode", good_requests()["Decode"]).code == StatusCode.OK


def test_a_message_is_let_go_when_it_has_been_read(server: RunningServer, raw: Raw) -> None:
    """Not when its request ends."""
    request = good_requests()["Img2Img"]
    request.image.data = picture(512, 512)
    request.sampling.step_count = ENDLESS
    running = raw.image_service.Img2Img(request)
    assert [next(running).event.WhichOneof("kind") for _ in range(2)] == ["queued", "progress"]
    assert not server.app.intake.holding.bytes.taken
    running.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_health_takes_short_messages_only(raw: Raw, method: str, compression: grpc.Compression) -> None:
    call: grpc.UnaryStreamMultiCallable[bytes, bytes] = raw.channel.unary_stream(
        f"/grpc.health.v1.Health/{method}"
    )
    long = health_pb2.HealthCheckRequest(service="x" * intake.SHORT_BYTES).SerializeToString()
    with pytest.raises(grpc.RpcError) as caught:
        list(call(long, compression=compression, timeout=60))
    assert (caught.value.code(), caught.value.details()) == (
        StatusCode.RESOURCE_EXHAUSTED,
        "the message has more than 4096 bytes",
    )


def test_reflection_takes_short_messages_only(raw: Raw) -> None:
    call: grpc.StreamStreamMultiCallable[bytes, bytes] = raw.channel.stream_stream(REFLECTION)
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([b"\x3a\x00", bytes(5000)]), timeout=60))
    assert caught.value.code() == StatusCode.RESOURCE_EXHAUSTED


def test_reflection_does_not_wait_for_ever_for_another_question(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.app.intake.questions, "seconds", 0.3)
    done = threading.Event()

    def questions() -> Iterator[bytes]:
        yield b"\x3a\x00"
        done.wait(60)

    call: grpc.StreamStreamMultiCallable[bytes, bytes] = raw.channel.stream_stream(REFLECTION)
    assert len(list(call(questions(), timeout=60))) == 1
    done.set()


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", REFLECTION])
def test_nonsense_to_health_and_reflection_is_the_clients_fault(raw: Raw, path: str) -> None:
    call: grpc.StreamStreamMultiCallable[bytes, bytes] = raw.channel.stream_stream(path)
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([b"\xff\xff\xff"]), timeout=60))
    assert caught.value.code() == StatusCode.INVALID_ARGUMENT


def test_a_call_without_a_message_is_the_clients_fault(raw: Raw) -> None:
    for path in (PRIOR, "/grpc.health.v1.Health/Check", "/kandinsky_api.v1.ServerService/GetServerInfo"):
        with pytest.raises(grpc.RpcError) as caught:
            list(raw.channel.stream_stream(path)(iter([]), timeout=60))
        assert caught.value.code() == StatusCode.INVALID_ARGUMENT, path


def test_a_connection_has_few_watches_and_others_have_theirs(server: RunningServer) -> None:
    request = health_pb2.HealthCheckRequest()
    private = [("grpc.use_local_subchannel_pool", 1)]
    with (
        grpc.insecure_channel(server.target, private) as one,
        grpc.insecure_channel(server.target, private) as another,
    ):
        watch = Raw(one).health.Watch
        watches = [watch(request, timeout=60) for _ in range(health.WATCHES)]
        assert {next(each).status for each in watches} == {health_pb2.HealthCheckResponse.SERVING}
        with pytest.raises(grpc.RpcError) as caught:
            next(watch(request, timeout=60))
        assert caught.value.code() == StatusCode.RESOURCE_EXHAUSTED
        assert next(Raw(another).health.Watch(request, timeout=60)).status
        watches[0].cancel()
        eventually(lambda: max(server.app.health._watches.values()) < health.WATCHES)
        assert next(watch(request, timeout=60)).status
    eventually(lambda: not server.app.health._watches)


@pytest.mark.slow
def test_logged_prompts_are_no_longer_than_prompts_may_be(tiny_model: Path, tmp_path: Path) -> None:
    with Process(
        only(tmp_path / "model", tiny_model, "prior"), "--log-prompts", "--log-format=json"
    ) as process:
        with connected(process.target("serving")) as raw:
            request = good_requests()["Prior"]
            request.prompts.extend(["y" * 7000] * 300)
            request.negative_prompt = "n" * 7000
            assert raw.call("Prior", request).code == StatusCode.INVALID_ARGUMENT
        eventually(lambda: any('"request"' in line for line in process.errors))
    line = next(line for line in process.errors if '"request"' in line)
    assert "yyyy" in line
    assert len(line) < 17 * 2000 + 1000
