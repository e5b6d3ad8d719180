"""deploy/envoy with the real Envoy: three protocols, failover, retries elsewhere, cancelling, pools by role."""

from __future__ import annotations

import base64
import json
import runpy
import signal
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, server_pb2

from benchmarks.fleet.envoy import FOLDER, MISSING, Envoy, installed
from tests.deploy.loaded import LoadedServer
from tests.support.patience import eventually
from tests.support.process import Process
from tests.support.raw import connected, good_requests, only
from tests.support.requests import decode

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not installed(), reason=MISSING)]
REQUESTS = good_requests()
GENERATE = "/kandinsky_api.v1.ImageService/Generate"


class Server(Process):
    """A server with a small queue: one client may fill it."""

    def __init__(self, model: Path, *flags: str) -> None:
        super().__init__(model, "--default-share=1", "--log-format=json", *flags)

    @property
    def metrics_port(self) -> str:
        (line,) = (line for line in self.output if line.startswith("serving on"))
        return line.rpartition(" ")[2]

    def metric(self, name: str) -> float:
        """A sample of its metrics, 0 where there is none yet."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.fixture(scope="module")
def servers(tiny_model: Path) -> Iterator[tuple[Server, Server]]:
    with Server(tiny_model, "--queue-size=4") as one, Server(tiny_model, "--queue-size=4") as two:
        one.target("serving"), two.target("serving")
        yield one, two


@pytest.fixture(scope="module")
def envoy(servers: tuple[Server, Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    pool = [server.target("serving") for server in servers]
    with Envoy({"kandinsky": pool}) as running:
        running.wait_for_healthy(2)
        yield running


def lengths(servers: Sequence[Server]) -> list[float]:
    """How much each has to do."""
    return [server.metric("kandinsky_queue_length ") for server in servers]


def post(target: str, path: str, body: bytes, kind: str, **headers: str) -> Any:
    """The answer of a POST, whatever its status."""
    request = urllib.request.Request(f"http://{target}{path}", body, {"content-type": kind, **headers})
    try:
        return urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        return error


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The flags and the content of each frame of gRPC-Web."""
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        yield flags, body[5 : 5 + size]
        body = body[5 + size :]


def trailers(content: bytes) -> dict[str, str]:
    return dict(line.split(":", 1) for line in content.decode().split("\r\n") if line)


def test_the_descriptors_are_those_of_the_contract() -> None:
    kept = FileDescriptorSet.FromString((FOLDER / "kandinsky.binpb").read_bytes())
    made = runpy.run_path(str(FOLDER / "descriptors.py"))["descriptors"]()
    assert kept == made, "run `python deploy/envoy/descriptors.py` and commit kandinsky.binpb"


def test_envoy_warns_of_nothing(envoy: Envoy) -> None:
    """Not of fields that its next version will not know, for one."""
    assert envoy.warnings == ""


def test_grpc(envoy: Envoy) -> None:
    with connected(envoy.target) as raw:
        answer = raw.call("Generate", REQUESTS["Generate"], x_request_id="mine")
        assert (answer.code, answer.kinds[0], answer.kinds[-1]) == (StatusCode.OK, "queued", "completed")
        assert answer.request_id == "mine"
        assert len(answer.images) == 1


def test_grpc_web_with_cors(envoy: Envoy) -> None:
    message = REQUESTS["Generate"].SerializeToString()
    kind = "application/grpc-web+proto"
    answer = post(
        envoy.target, GENERATE, struct.pack(">BI", 0, len(message)) + message, kind, origin="http://page"
    )
    assert answer.headers["content-type"] == kind
    assert answer.headers["access-control-allow-origin"] == "http://page"
    assert "grpc-status-details-bin" in answer.headers["access-control-expose-headers"]
    *messages, (last, content) = frames(answer.read())
    events = [image_pb2.GenerateResponse.FromString(message).event for _, message in messages]
    assert [event.WhichOneof("kind") for event in (events[0], events[-1])] == ["queued", "completed"]
    assert (last, trailers(content)["grpc-status"]) == (0x80, "0")


def test_grpc_web_tells_a_refusal(envoy: Envoy) -> None:
    answer = post(envoy.target, GENERATE, bytes(5), "application/grpc-web+proto", origin="http://page")
    told = dict(answer.headers)
    for _, content in frames(answer.read()):
        told |= trailers(content)
    assert told["grpc-status"] == str(StatusCode.INVALID_ARGUMENT.value[0])
    assert b"INVALID_FIELD" in base64.b64decode(told["grpc-status-details-bin"] + "==")


def test_a_browser_is_told_what_it_may_send(envoy: Envoy) -> None:
    asked = {"origin": "http://page", "access-control-request-method": "POST"}
    request = urllib.request.Request(f"http://{envoy.target}{GENERATE}", headers=asked, method="OPTIONS")
    with urllib.request.urlopen(request, timeout=30) as answer:
        allowed = answer.headers["access-control-allow-headers"].split(",")
    assert {"content-type", "x-grpc-web", "grpc-timeout", "authorization"} <= set(allowed)


def test_json(envoy: Envoy) -> None:
    body = json.dumps(MessageToDict(REQUESTS["Generate"])).encode()
    with post(envoy.target, GENERATE, body, "application/json") as answer:
        assert answer.status == 200
        events = [json.loads(line)["event"] for line in answer.read().splitlines()]
    assert "queued" in events[0]
    assert "completed" in events[-1]
    (image,) = (event["image"] for event in events if "image" in event)
    assert base64.b64decode(image["data"]).startswith(b"\x89PNG")


def test_json_of_an_answer_without_stream_and_of_chunks(envoy: Envoy) -> None:
    with post(
        envoy.target, "/kandinsky_api.v1.ServerService/GetServerInfo", b"{}", "application/json"
    ) as answer:
        assert [stage["loaded"] for stage in json.load(answer)["stages"]] == [True] * 4
    size = 512  # of raw floats, 3 MiB: it comes in chunks
    body = MessageToDict(decode(width_px=size, height_px=size))
    with post(
        envoy.target, "/kandinsky_api.v1.ImageService/Decode", json.dumps(body).encode(), "application/json"
    ) as answer:
        events = [json.loads(line)["event"] for line in answer.read().splitlines()]
    chunks = [base64.b64decode(event["chunk"]["data"]) for event in events if "chunk" in event]
    assert sum(map(len, chunks)) == size * size * 12


def test_json_tells_a_refusal_with_its_details(envoy: Envoy) -> None:
    with post(envoy.target, GENERATE, b"{}", "application/json") as answer:
        assert answer.status == 400
        status = json.load(answer)
    assert status["code"] == StatusCode.INVALID_ARGUMENT.value[0]
    assert "INVALID_FIELD" in {detail.get("reason") for detail in status["details"]}


def test_a_refused_call_runs_on_the_other_server(servers: tuple[Server, Server], envoy: Envoy) -> None:
    """One server is full with calls that come to it directly; Envoy counts none of them and asks it all the same."""
    one, _ = servers
    retries = envoy.counter("cluster.kandinsky.upstream_rq_retry_success")
    with connected(one.target("serving")) as direct, connected(envoy.target) as raw:
        running = [direct.image_service.Decode(decode(step_count=1000)) for _ in range(4)]
        eventually(lambda: one.metric("kandinsky_queue_length ") == 4)
        refused = one.metric('kandinsky_rejections_total{reason="QUEUE_FULL"}')
        answers = [raw.call("Prior", REQUESTS["Prior"]) for _ in range(6)]
        assert {answer.code for answer in answers} == {StatusCode.OK}
        assert one.metric('kandinsky_rejections_total{reason="QUEUE_FULL"}') > refused
        for call in running:
            call.cancel()
    assert envoy.counter("cluster.kandinsky.upstream_rq_retry_success") > retries
    eventually(lambda: one.metric("kandinsky_queue_length ") == 0)
    assert envoy.counter("cluster.kandinsky.outlier_detection.ejections_enforced_total") == 0


def test_where_all_are_full_the_refusal_comes_through(servers: tuple[Server, Server], envoy: Envoy) -> None:
    with ExitStack() as stack, connected(envoy.target) as raw:
        for server in servers:
            direct = stack.enter_context(connected(server.target("serving")))
            for _ in range(4):
                stack.callback(direct.image_service.Decode(decode(step_count=1000)).cancel)
        eventually(lambda: lengths(servers) == [4, 4])
        answer = raw.call("Prior", REQUESTS["Prior"])
        assert (answer.code, answer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert answer.retry_seconds
        assert answer.pushback_ms
        assert envoy.counter("cluster.kandinsky.membership_healthy") == 2
    eventually(lambda: lengths(servers) == [0, 0])


@pytest.mark.parametrize("protocol", ["grpc", "grpc-web"])
def test_a_cancel_frees_the_rows(servers: tuple[Server, Server], envoy: Envoy, protocol: str) -> None:
    def total(name: str) -> float:
        return sum(server.metric(name) for server in servers)

    cancelled = 'kandinsky_cancellations_total{reason="CANCELLED"}'
    before = total(cancelled)
    request = decode(step_count=1000, image_count=2)
    if protocol == "grpc":
        with connected(envoy.target) as raw:
            call = raw.image_service.Decode(request)
            next(call)
            eventually(lambda: total("kandinsky_queue_length ") == 2)
            call.cancel()
    else:
        message = request.SerializeToString()
        body = struct.pack(">BI", 0, len(message)) + message
        path = "/kandinsky_api.v1.ImageService/Decode"
        with post(envoy.target, path, body, "application/grpc-web+proto") as answer:
            answer.read(5)
            eventually(lambda: total("kandinsky_queue_length ") == 2)
    eventually(lambda: total("kandinsky_queue_length ") == 0)
    eventually(lambda: total(cancelled) == before + 1)

    def stands_still() -> bool:
        """The step that was under way is counted when it ends, after the places are free."""
        taken = total("kandinsky_steps_total")
        time.sleep(0.2)
        return total("kandinsky_steps_total") == taken

    eventually(stands_still)
    steps = total("kandinsky_steps_total")
    with connected(envoy.target) as raw:
        assert raw.call("Decode", decode()).code is StatusCode.OK
    assert total("kandinsky_steps_total") <= steps + 2, "the cancelled call takes steps"


def test_when_a_server_is_killed_the_other_takes_all_calls(tiny_model: Path, tmp_path: Path) -> None:
    with Server(tiny_model) as one, Server(tiny_model) as two:
        pool = [one.target("serving"), two.target("serving")]
        with Envoy({"kandinsky": pool}) as envoy, connected(envoy.target) as raw:
            envoy.wait_for_healthy(2)
            known = raw.call("Decode", decode())
            one.process.kill()
            answers = [raw.call("Decode", decode()) for _ in range(6)]
            assert {answer.code for answer in answers} == {StatusCode.OK}, answers
            assert all(answer.images[0].data == known.images[0].data for answer in answers)
            envoy.wait_for_healthy(1)


def test_a_draining_server_gets_no_calls_and_finishes_its_own(tiny_model: Path, tmp_path: Path) -> None:
    with Server(tiny_model) as one, Server(tiny_model) as two:
        pool = [one.target("serving"), two.target("serving")]
        with Envoy({"kandinsky": pool}) as envoy, connected(envoy.target) as raw:
            envoy.wait_for_healthy(2)
            running = [raw.image_service.Decode(decode(step_count=300)) for _ in range(2)]
            for call in running:
                next(call)
            busy = one if lengths((one, two))[0] else two
            busy.process.send_signal(signal.SIGTERM)
            assert {raw.call("Decode", decode()).code for _ in range(4)} == {StatusCode.OK}
            assert all(list(call)[-1].event.WhichOneof("kind") == "completed" for call in running)
            assert busy.wait() == 0


def test_pools_by_role(tiny_model: Path, tmp_path: Path) -> None:
    priors = only(tmp_path / "priors", tiny_model, "prior")
    decoders = only(tmp_path / "decoders", tiny_model, "decoder", "inpaint", "controlnet")
    with Server(priors) as prior, Server(decoders) as decoder:
        pools = {"prior": [prior.target("serving")], "decoder": [decoder.target("serving")], "both": []}
        with (
            Envoy(pools, "routes-by-role", "clusters-by-role") as envoy,
            connected(envoy.target) as raw,
        ):
            envoy.wait_for_healthy(1, "prior")
            envoy.wait_for_healthy(1, "decoder")
            (made,) = raw.call("Prior", REQUESTS["Prior"]).embeddings
            request = image_pb2.DecodeRequest(
                embeddings=[made.embeddings], sampling=REQUESTS["Decode"].sampling
            )
            assert raw.call("Decode", request).images
            assert raw.call("Generate", REQUESTS["Generate"]).code is StatusCode.UNAVAILABLE
            info = raw.server_service.GetServerInfo(server_pb2.GetServerInfoRequest())
            assert [stage.loaded for stage in info.stages] == [False, True, True, True]


def test_orca_sends_calls_to_the_server_with_less_work(tmp_path: Path) -> None:
    with LoadedServer(utilization=0.9) as busy, LoadedServer(utilization=0.1) as idle:
        pools = {"kandinsky": [busy.target, idle.target]}
        with Envoy(pools, clusters="clusters-orca") as envoy, connected(envoy.target) as raw:
            envoy.wait_for_healthy(2)

            def share() -> float:
                """Of fifty calls, how many the idle server has."""
                before = idle.calls
                assert all(raw.call("Prior", REQUESTS["Prior"]).code is StatusCode.OK for _ in range(50))
                return (idle.calls - before) / 50

            eventually(lambda: share() > 0.8)


def test_a_call_that_a_server_lets_go_as_it_ends_runs_on_the_other(tmp_path: Path) -> None:
    with LoadedServer(utilization=0.5, lets_go=True) as ending, LoadedServer(utilization=0.5) as other:
        pools = {"kandinsky": [ending.target, other.target]}
        with Envoy(pools) as envoy, connected(envoy.target) as raw:
            envoy.wait_for_healthy(2)
            assert all(raw.call("Prior", REQUESTS["Prior"]).code is StatusCode.OK for _ in range(10))
    assert ending.calls
    assert other.calls == 10
