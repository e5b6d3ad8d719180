"""Forecasts after bad weather: a pause must not refuse everyone with a deadline, nor must work that nobody waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.engine.network import Call
from kandinsky_server.testing.calls import ENDLESS
from kandinsky_server.testing.running import RunningServer
from torch import Tensor

from tests.support.patience import eventually
from tests.support.raw import Raw, connected, pair, picture, sampling
from tests.support.requests import decode
from tests.support.wrapped import wrap

STEPS = 8
LEFT = 6.0
"""Seconds that each request has: many times what it takes."""


@pytest.fixture
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(decoder=str(tiny_model / "decoder"), max_batch_rows=2) as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as connection:
        yield connection


@pytest.mark.slow
@pytest.mark.parametrize("pauses", [1, 3])
def test_a_pause_refuses_no_one_afterwards(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch, pauses: int
) -> None:
    """Of one step, or of several running, so that they are believed until somebody finds out that they are over."""
    left = [pauses]

    def pausing(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if left[0]:
            left[0] -= 1
            time.sleep(2 * LEFT / STEPS * (5 if pauses == 1 else 1))
        return inner(*inputs)

    with monkeypatch.context() as patch:
        wrap(server, patch, pausing)
        assert raw.call("Decode", decode(step_count=pauses), timeout=None).code == StatusCode.OK
    answers = [raw.call("Decode", decode(seed, step_count=STEPS), timeout=LEFT) for seed in range(20)]
    assert [answer.reason for answer in answers if answer.reason] == []


@pytest.mark.slow
def test_a_first_step_that_was_slow_is_doubted_after_a_while(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The depth model is not timed at the start: the first picture is all that is known of it."""
    request = image_pb2.ControlNetRequest(
        embeddings=[pair()], depth_from=pb.InputImage(data=picture()), sampling=sampling()
    )
    with (
        RunningServer(tiny_model, depth_model=str(tiny_model / "depth"), max_batch_rows=2) as server,
        connected(server.target) as raw,
    ):
        network = server.app.model.networks["depth"]
        inner: Call = network.call

        def slow(*inputs: Tensor) -> tuple[Tensor, ...]:
            time.sleep(2 * LEFT)
            return inner(*inputs)

        with monkeypatch.context() as patch:
            patch.setattr(network, "call", slow)
            assert raw.call("ControlNet", request, timeout=None).code == StatusCode.OK
        assert raw.call("ControlNet", request, timeout=LEFT).reason == "DEADLINE_UNREACHABLE"
        eventually(lambda: raw.call("ControlNet", request, timeout=LEFT).code == StatusCode.OK)
        assert raw.call("ControlNet", request, timeout=LEFT).code == StatusCode.OK


def test_what_cannot_be_done_is_refused_all_the_same(raw: Raw) -> None:
    """However long nobody has asked."""
    answers = [raw.call("Decode", decode(step_count=1000, image_count=16), timeout=1) for _ in range(5)]
    assert {answer.reason for answer in answers} == {"DEADLINE_UNREACHABLE"}


def test_work_that_nobody_waits_for_is_no_queue(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight endless pictures, given up in the middle of a step that takes long."""
    holding, entered, go_on = threading.Event(), threading.Event(), threading.Event()

    def held(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if holding.is_set():
            entered.set()
            go_on.wait(60)
        return inner(*inputs)

    def wait() -> float:
        answer = raw.call("Estimate", server_pb2.EstimateRequest(decode=decode(step_count=2))).events[0]
        seconds: float = answer.queue_wait.ToMilliseconds() / 1e3
        return seconds

    wrap(server, monkeypatch, held)
    call: Any = raw.image_service.Decode(decode(step_count=ENDLESS, image_count=8))
    try:
        assert next(call).event.WhichOneof("kind") == "queued"
        eventually(lambda: len(server.app.engine.active) == 8)
        holding.set()
        assert entered.wait(60)
        before = wait()
        call.cancel()
        eventually(lambda: wait() < before / 100)
        queued = next(raw.image_service.Decode(decode(step_count=2), timeout=LEFT))
        assert queued.event.WhichOneof("kind") == "queued"
    finally:
        go_on.set()
    eventually(lambda: server.idle)
