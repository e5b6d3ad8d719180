"""Who is let in and who goes first, where there are fewer seats than requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from kandinsky_api.v1 import server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.engine import lane
from kandinsky_server.testing.calls import ENDLESS, members
from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually
from tests.support.raw import Raw, connected
from tests.support.requests import decode


@pytest.fixture(scope="module")
def narrow(decoder: Path) -> Iterator[RunningServer]:
    """A server whose batches hold one guided image."""
    with RunningServer(decoder, max_batch_rows=2) as running:
        yield running


@pytest.fixture
def busy(narrow: RunningServer) -> Iterator[Raw]:
    with connected(narrow.target) as raw:
        yield raw
        eventually(lambda: narrow.idle)


def running(raw: Raw, **options: Any) -> grpc.Call:
    """A request that has been given a seat."""
    call = raw.image_service.Decode(decode(**options), metadata=(("x-request-id", "long"),))
    assert [next(call).event.WhichOneof("kind") for _ in range(2)] == ["queued", "progress"]
    return call


def served(server: RunningServer, *names: str) -> list[str]:
    """Which of these requests had the seat, step by step."""
    reports = [report for report in list(server.recorder.steps) if report.stage == "decoder"]
    return [name for report in reports for name in members(report) if name in names]


def test_a_tight_deadline_overtakes_long_requests_that_came_first(narrow: RunningServer, busy: Raw) -> None:
    """Neither of the long ones takes a step between the first and the last of the short one."""
    first, second = running(busy, step_count=ENDLESS), busy.image_service.Decode(decode(step_count=ENDLESS))
    assert next(second).event.WhichOneof("kind") == "queued"
    answer = busy.call("Decode", decode(step_count=10), timeout=100, x_request_id="tight")
    assert answer.kinds[-1] == "completed"
    order = served(narrow, "long", "tight")
    assert order[order.index("tight") :][:10] == ["tight"] * 10
    assert first.is_active()
    for call in (first, second):
        call.cancel()


def test_nothing_starves_under_a_stream_of_urgent_work(
    narrow: RunningServer, busy: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """High priority holds the only seat without a gap; low gets it by aging, then keeps its share of it to the end."""
    monkeypatch.setattr(lane, "AGING_SECONDS", 0.05)
    urgent = decode(step_count=ENDLESS)
    urgent.options.priority = pb.PRIORITY_HIGH
    name = (("x-request-id", "urgent"),)
    stream = [busy.image_service.Decode(urgent, metadata=name) for _ in range(2)]
    for call in stream:
        assert next(call).event.WhichOneof("kind") == "queued"
    low = decode(step_count=30)
    low.options.priority = pb.PRIORITY_LOW
    answer = busy.call("Decode", low, timeout=None, x_request_id="low")
    assert answer.kinds[-1] == "completed"
    order = served(narrow, "low", "urgent")
    turns = order[order.index("low") :]
    assert len(turns) < 6 * 30, "low was served a step in a while"
    assert all(call.is_active() for call in stream)
    for call in stream:
        call.cancel()


def test_what_cannot_be_done_in_time_is_refused_at_arrival(narrow: RunningServer, busy: Raw) -> None:
    """The sentence tells when it would finish, and that no retry helps who allows less than the request alone takes."""
    first = running(busy, step_count=ENDLESS, image_count=2)
    asked = decode(step_count=ENDLESS)
    estimate = busy.call("Estimate", server_pb2.EstimateRequest(decode=asked)).events[0]
    assert estimate.measured
    answer = busy.call("Decode", asked, timeout=1, x_request_id="late")
    assert (answer.code, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DEADLINE_UNREACHABLE")
    assert "would take about" in answer.message
    assert "no retry helps" in answer.message
    assert answer.retry_seconds is not None
    assert answer.retry_seconds > 0
    assert not answer.events
    first.cancel()
    eventually(lambda: not narrow.app.engine.active)
    assert not served(narrow, "late")


def test_estimate_is_what_admission_then_predicts(narrow: RunningServer, busy: Raw) -> None:
    """The engine stands still meanwhile, so that both look at the same work."""
    entered, network = [], narrow.app.model.networks["decoder"]
    inner = network.call

    def still(*inputs: object) -> object:
        entered.append(inputs)
        eventually(lambda: len(entered) > 1)
        return inner(*inputs)

    network.call = still
    asked = decode(step_count=7, image_count=2)
    try:
        first = busy.image_service.Decode(decode(step_count=30, image_count=3))
        eventually(lambda: bool(entered))
        estimate = busy.call("Estimate", server_pb2.EstimateRequest(decode=asked)).events[0]
        second = busy.image_service.Decode(asked)
        queued = next(second).event.queued
    finally:
        network.call = inner
        entered.append(())
    assert estimate.queue_length == 3
    assert estimate.queue_wait.ToTimedelta().total_seconds() > 0
    assert queued.predicted_start == estimate.queue_wait
    finish = (estimate.queue_wait.ToTimedelta() + estimate.run_time.ToTimedelta()).total_seconds()
    assert queued.predicted_finish.ToTimedelta().total_seconds() == pytest.approx(finish, abs=1e-5)
    for call in (first, second):
        call.cancel()
