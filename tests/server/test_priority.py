"""Who gets a seat when there are fewer seats than requests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kandinsky_client import EmbeddingPair, Kandinsky, Queued
from kandinsky_server.testing.calls import ENDLESS, members, named, new_id, wait_for_step
from kandinsky_server.testing.oracle import oracle
from kandinsky_server.testing.pipelines import Variant, pair_of, sendable
from kandinsky_server.testing.running import RunningServer


@pytest.fixture(scope="module")
def narrow(tiny_model: Path) -> Iterator[RunningServer]:
    """A server whose batches hold one guided image."""
    with RunningServer(tiny_model, max_batch_rows=2) as running:
        yield running


@pytest.fixture(scope="module")
def busy(narrow: RunningServer) -> Iterator[Kandinsky]:
    with narrow.client() as client:
        yield client


@pytest.fixture(scope="module")
def pair(tiny_model: Path) -> EmbeddingPair:
    return sendable(pair_of(oracle(tiny_model), Variant()))[0]


def served(server: RunningServer, *names: str) -> list[str]:
    """Which of these requests had the seat, step by step."""
    reports = [report for report in list(server.recorder.steps) if report.stage == "decoder"]
    return [name for report in reports for name in members(report) if name in names]


def test_high_goes_before_low_that_came_first(
    narrow: RunningServer, busy: Kandinsky, pair: EmbeddingPair
) -> None:
    low, high = new_id(), new_id()
    with busy.stream.decode(pair, step_count=ENDLESS, priority="low", **named(low)) as running:
        wait_for_step(running, 1)
        busy.decode(pair, step_count=10, priority="high", **named(high))
        order = served(narrow, low, high)
        assert order[order.index(high) :][:10] == [high] * 10
        wait_for_step(running, order.count(low) + 1)


def test_low_waits_for_normal_that_came_first(
    narrow: RunningServer, busy: Kandinsky, pair: EmbeddingPair
) -> None:
    low, normal = new_id(), new_id()
    with busy.stream.decode(pair, step_count=20, **named(normal)) as running:
        wait_for_step(running, 1)
        busy.decode(pair, step_count=2, priority="low", **named(low))
    assert served(narrow, low, normal) == [normal] * 20 + [low] * 2


def test_the_earlier_of_equals_goes_first(
    narrow: RunningServer, busy: Kandinsky, pair: EmbeddingPair
) -> None:
    first, second = new_id(), new_id()
    with busy.stream.decode(pair, step_count=20, **named(first)) as running:
        wait_for_step(running, 1)
        busy.decode(pair, step_count=2, **named(second))
    assert served(narrow, first, second) == [first] * 20 + [second] * 2


def test_a_deadline_goes_before_none(narrow: RunningServer, busy: Kandinsky, pair: EmbeddingPair) -> None:
    patient, pressed = new_id(), new_id()
    with busy.stream.decode(pair, step_count=ENDLESS, timeout=None, **named(patient)) as running:
        wait_for_step(running, 1)
        busy.decode(pair, step_count=10, timeout=3600, **named(pressed))
    order = served(narrow, patient, pressed)
    assert order[order.index(pressed) :][:10] == [pressed] * 10


def test_who_waits_is_told_how_many_go_before(
    narrow: RunningServer, busy: Kandinsky, pair: EmbeddingPair
) -> None:
    with busy.stream.decode(pair, step_count=ENDLESS, image_count=3) as running:
        wait_for_step(running, 1)
        with busy.stream.decode(pair, step_count=2) as waiting:
            queued = next(waiting)
    assert isinstance(queued, Queued)
    assert queued.position == 3
    assert 0 < queued.start_seconds < queued.finish_seconds
