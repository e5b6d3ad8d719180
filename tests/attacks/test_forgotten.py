"""However a request ends, nothing of it stays: no picture, no embedding, no tensor, with Python's cycle collector off."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.diffusion.decoder import DecoderTrajectory
from kandinsky_server.diffusion.prior import PriorTrajectory
from kandinsky_server.diffusion.single import SingleStep
from kandinsky_server.flows.requests import (
    ClipImage,
    GenerateRequest,
    ImageRequest,
    InterpolateRequest,
    PriorRequest,
)
from kandinsky_server.flows.session import Session
from kandinsky_server.testing.calls import ENDLESS
from kandinsky_server.testing.running import RunningServer
from torch import Tensor

from tests.support.patience import eventually
from tests.support.raw import Raw, connected, good_requests, only, pair, picture, rest, sampling
from tests.support.wrapped import wrap

pytestmark = pytest.mark.slow

OF_A_REQUEST = (
    Session,
    ClipImage,
    PriorRequest,
    InterpolateRequest,
    ImageRequest,
    GenerateRequest,
    DecoderTrajectory,
    PriorTrajectory,
    SingleStep,
)
RPCS = ("Prior", "Interpolate", "Decode", "Img2Img", "Inpaint", "ControlNet", "Generate")


def held() -> list[str]:
    # By type: others' proxies do things when they are asked for their class.
    return sorted(type(thing).__name__ for thing in gc.get_objects() if type(thing) in OF_A_REQUEST)


def idle(server: RunningServer) -> bool:
    return server.idle and not server.app.decoders.busy


@contextmanager
def forgotten(server: RunningServer) -> Iterator[None]:
    """What the block had the server do leaves nothing behind."""
    gc.collect()
    # A request that has just been answered gives up its place before all of it is let go.
    eventually(lambda: idle(server) and not held())
    gc.disable()
    try:
        yield
        eventually(lambda: idle(server) and not held())
    finally:
        gc.enable()


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(tiny_model, queue_size=12) as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        # What is made once, and kept.
        for rpc in RPCS:
            assert stubs.call(rpc, good_requests()[rpc]).code == StatusCode.OK
        yield stubs


def endless(rpc: str, serial: int = 0) -> Any:
    """Three results of as many steps as there may be, unlike any other's; previews of images."""
    request = good_requests()[rpc]
    seed = 1000 + 10 * serial
    request.sampling.step_count, request.sampling.image_count, request.sampling.seed = ENDLESS, 3, seed
    if rpc not in ("Prior", "Interpolate"):
        request.options.preview_interval_steps = 1
    if rpc == "Prior":
        request.strength = 1
        request.image.data = picture()
    return request


def begun(raw: Raw, request: Any, rpc: str, **options: Any) -> Any:
    service = raw.prior_service if rpc in ("Prior", "Interpolate") else raw.image_service
    call = getattr(service, rpc)(request, **options)
    for response in call:
        event = response.event
        if event.WhichOneof("kind") == "progress" and event.progress.step > 2:
            return call
    raise AssertionError("it ended")


@pytest.mark.parametrize("rpc", RPCS)
def test_after_success(server: RunningServer, raw: Raw, rpc: str) -> None:
    with forgotten(server):
        assert raw.call(rpc, good_requests()[rpc]).code == StatusCode.OK


@pytest.mark.parametrize("rpc", RPCS)
def test_after_a_cancel(server: RunningServer, raw: Raw, rpc: str) -> None:
    with forgotten(server):
        begun(raw, endless(rpc), rpc).cancel()


@pytest.mark.parametrize("rpc", ["Prior", "Inpaint"])
def test_after_a_deadline(server: RunningServer, raw: Raw, rpc: str) -> None:
    """Which a server that knows how long it takes refuses to begin with."""
    with forgotten(server):
        request = endless(rpc, 1)
        if rpc == "Inpaint":
            request.sampling.width_px = 192
        answer = raw.call(rpc, request, timeout=1)
        assert answer.code in (StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED)


@pytest.mark.parametrize("failing", ["one", "all"])
@pytest.mark.parametrize("rpc", ["Decode", "Img2Img"])
def test_after_a_failure(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch, rpc: str, failing: str
) -> None:
    def spoil(inner: Callable[..., Any], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (output,) = inner(*inputs)
        rows = slice(None) if failing == "all" else slice(0, 1)
        output[rows] = float("nan")
        return (output,)

    with forgotten(server):
        wrap(server, monkeypatch, spoil)
        answer = raw.call(rpc, endless(rpc, 2))
        assert answer.reason == "NON_FINITE", answer
        monkeypatch.undo()


def test_after_refusals(server: RunningServer, raw: Raw) -> None:
    with forgotten(server):
        many = good_requests()["Img2Img"]
        many.sampling.image_count = 13
        assert raw.call("Img2Img", many).reason == "INVALID_FIELD"
        bad = image_pb2.InpaintRequest(
            embeddings=[pair()],
            image=pb.InputImage(data=picture()),
            mask=pb.InputImage(data=picture()[:300]),
            sampling=sampling(),
        )
        assert raw.call("Inpaint", bad).reason == "INVALID_IMAGE"
        assert raw.call("Estimate", server_pb2.EstimateRequest(inpaint=bad)).reason == "INVALID_IMAGE"
        estimate = server_pb2.EstimateRequest(inpaint=good_requests()["Inpaint"])
        assert raw.call("Estimate", estimate).code == StatusCode.OK


def test_after_a_drain(tiny_model: Path, tmp_path: Path) -> None:
    model = only(tmp_path / "model", tiny_model, "prior", "decoder")
    with (
        RunningServer(model, drain_seconds=0.1) as server,
        connected(server.target) as raw,
        forgotten(server),
    ):
        calls = [begun(raw, endless(rpc, 3), rpc) for rpc in ("Prior", "Img2Img", "Generate")]
        server.run(server.lifecycle.drain())
        assert {rest(call).reason for call in calls} == {"DRAINING"}
