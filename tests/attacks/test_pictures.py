"""Pictures that are made to take long, or that take their decoder down with them: nobody else notices."""

from __future__ import annotations

import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer

from tests.support.hostile import slow_jpeg
from tests.support.patience import eventually
from tests.support.process import Process
from tests.support.raw import Raw, connected, good_requests, only, pair, picture, rest, sampling
from tests.support.workers import still, tell, was_sent_a_picture

DECODE_SECONDS = 3.0
SLOW = pb.InputImage(data=slow_jpeg(1024, 4000))
"""A second or more to decode for each 10 kB."""


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(tiny_model, decode_seconds=DECODE_SECONDS) as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs
        eventually(lambda: server.idle and not server.app.decoders.busy)


def img2img(image: pb.InputImage) -> image_pb2.Img2ImgRequest:
    return image_pb2.Img2ImgRequest(embeddings=[pair()], image=image, strength=1, sampling=sampling())


def with_pictures(image: pb.InputImage) -> dict[str, tuple[str, Any]]:
    """A request for each field that holds a picture, and its RPC."""
    sound = pb.InputImage(data=picture())
    pairs, one = [pair()], sampling()
    return {
        "Prior.image": ("Prior", prior_pb2.PriorRequest(prompts=["cat"], image=image, strength=1)),
        "conditions[0].image": (
            "Interpolate",
            prior_pb2.InterpolateRequest(
                conditions=[prior_pb2.Condition(image=image)], weights=[prior_pb2.Weights(values=[1])]
            ),
        ),
        "image": ("Img2Img", img2img(image)),
        "mask": (
            "Inpaint",
            image_pb2.InpaintRequest(embeddings=pairs, image=sound, mask=image, sampling=one),
        ),
        "hint": ("ControlNet", image_pb2.ControlNetRequest(embeddings=pairs, hint=image, sampling=one)),
        "Generate.image": (
            "Generate",
            image_pb2.GenerateRequest(prompts=["cat"], image=image, strength=1, sampling=one),
        ),
        "Estimate": ("Estimate", server_pb2.EstimateRequest(img2img=img2img(image))),
    }


@pytest.mark.parametrize("case", with_pictures(pb.InputImage()))
def test_a_slow_picture_is_refused_by_its_markers(raw: Raw, case: str) -> None:
    rpc, request = with_pictures(SLOW)[case]
    answer = raw.call(rpc, request)
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_IMAGE"), answer
    assert "scans; save it as a baseline JPEG" in answer.message


def pids(server: RunningServer) -> list[int]:
    return [worker.process.pid for worker in server.app.decoders.workers if worker.process]


@pytest.mark.slow
def test_pictures_that_hang_cost_nobody_else_anything(server: RunningServer, raw: Raw) -> None:
    """The workers are stopped, so nothing but SIGKILL ends them; some callers leave and some wait."""
    with still(server) as decoders:
        before = pids(server)
        gone = [raw.image_service.Img2Img(img2img(pb.InputImage(data=picture()))) for _ in range(2)]
        eventually(lambda: len(decoders.busy) == 2)
        for call in gone:
            call.cancel()
        assert raw.call("Decode", good_requests()["Decode"]).code == StatusCode.OK
        assert len(decoders.busy) == 2, "a turn must not end with its caller"
        assert raw.call("Img2Img", good_requests()["Img2Img"]).code == StatusCode.OK
        assert not set(before) & set(pids(server))
    with still(server) as decoders:
        answer = raw.call("Img2Img", good_requests()["Img2Img"])
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_IMAGE")
    assert "took more than 3 s to decode" in answer.violations["image"]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_decoder_that_crashes_costs_its_own_picture_alone(
    server: RunningServer, raw: Raw, number: int
) -> None:
    with still(server) as decoders:
        call = raw.image_service.Img2Img(good_requests()["Img2Img"])
        eventually(lambda: bool(decoders.busy))
        (busy,) = decoders.busy
        # A worker that ended before its picture came is replaced.
        eventually(lambda: was_sent_a_picture(busy))
        tell(busy, number)
        with suppress(ProcessLookupError):  # it may be gone already
            tell(busy, signal.SIGCONT)
        answer = rest(call)
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_IMAGE"), answer
    assert "save it anew" in answer.violations["image"]
    for _ in range(4):
        assert raw.call("Img2Img", good_requests()["Img2Img"]).code == StatusCode.OK


def test_a_decoder_that_ended_between_pictures_costs_nothing(server: RunningServer, raw: Raw) -> None:
    eventually(lambda: not server.app.decoders.busy)
    for worker in server.app.decoders.workers:
        tell(worker, signal.SIGKILL)
        assert worker.process
        worker.process.wait()
    for _ in range(4):
        assert raw.call("Img2Img", good_requests()["Img2Img"]).code == StatusCode.OK


def workers_of(server: Process) -> list[psutil.Process]:
    """Its workers; there is the backstop besides."""
    found = psutil.Process(server.process.pid).children()
    return [child for child in found if "kandinsky_server.images.worker" in child.cmdline()]


def cpu_seconds(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


@pytest.fixture
def decoder(tiny_model: Path, tmp_path: Path) -> Path:
    return only(tmp_path / "model", tiny_model, "decoder")


@pytest.mark.slow
def test_a_process_ends_whatever_its_decoders_do(decoder: Path) -> None:
    """Two SIGTERMs, while pictures that nobody waits for any more are being decoded, and one that somebody does."""
    with Process(decoder, "--decode-seconds=86400") as server, connected(server.target("serving")) as raw:
        for child in workers_of(server):
            child.suspend()
        for _ in range(4):
            raw.call("Img2Img", img2img(SLOW), timeout=0.5)
        waiting = raw.image_service.Img2Img(good_requests()["Img2Img"])
        eventually(lambda: b'rpc="Img2Img"} 1.0' in metrics(server))
        server.terminate()
        eventually(lambda: raw.serving() == "NOT_SERVING")
        server.terminate()
        answer = rest(waiting)
        assert server.wait() == 0
    assert (answer.code, answer.reason) == (StatusCode.UNAVAILABLE, "DRAINING")


def metrics(server: Process) -> bytes:
    (port,) = re.findall(r"metrics on port (\d+)", server.output[-1])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
        lines = [
            line for line in page.read().split(b"\n") if line.startswith(b"kandinsky_requests_in_flight")
        ]
    return b"\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_server(decoder: Path, how: int) -> None:
    with Process(decoder) as server, ExitStack() as stack:
        raw = stack.enter_context(connected(server.target("serving")))
        assert raw.call("Img2Img", good_requests()["Img2Img"]).code == StatusCode.OK
        workers = workers_of(server)
        assert len(workers) == 2
        workers[0].suspend()
        server.process.send_signal(how)
        server.wait()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive
        assert not [line for line in server.errors if "Traceback" in line]


@pytest.mark.slow
def test_workers_are_light_and_know_nothing(decoder: Path) -> None:
    """No torch, no gRPC, none of the server's files and sockets; bounded in memory; not for a terminal's Ctrl-C."""
    with Process(decoder) as server, connected(server.target("serving")) as raw:
        assert raw.call("Img2Img", good_requests()["Img2Img"]).code == StatusCode.OK
        for worker in workers_of(server):
            mapped = " ".join(region.path for region in worker.memory_maps())
            assert "torch" not in mapped
            assert "grpc" not in mapped
            assert not worker.net_connections("tcp")
            assert worker.num_fds() <= 5
            assert worker.num_threads() == 1
            soft, hard = worker.rlimit(psutil.RLIMIT_AS)
            assert soft == hard < 1024**3
