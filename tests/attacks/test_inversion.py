"""Work that requests share is as urgent as the most urgent of them, whoever came first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from kandinsky_client import DeadlineExceededError, EmbeddingReady, EventStream, Kandinsky, Queued
from kandinsky_server.engine.lane import AGING_SECONDS
from kandinsky_server.testing.calls import ENDLESS, members, named, new_id, wait_for_step
from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually

PROMPT = "a photo of a robot"
STEPS = 12


@pytest.fixture(scope="module")
def narrow(tiny_model: Path) -> Iterator[RunningServer]:
    """One guided embedding a batch, and none is kept."""
    with RunningServer(tiny_model, max_batch_rows=2, prior_cache_size=0) as running:
        yield running


@pytest.fixture
def client(narrow: RunningServer) -> Iterator[Kandinsky]:
    with narrow.client() as client:
        yield client
    eventually(lambda: narrow.idle)


def order(server: RunningServer) -> list[str]:
    """Who had the prior's slot, step by step."""
    return [
        name for report in list(server.recorder.steps) if report.stage == "prior" for name in members(report)
    ]


def waited(server: RunningServer, name: str) -> float:
    """Seconds that a request has been without a slot; from `AGING_SECONDS` on it would rise by itself."""
    tickets = [members(report).get(name) for report in list(server.recorder.steps)]
    return max(ticket.waited for ticket in tickets if ticket)


def wait_for_run(server: RunningServer, name: str) -> None:
    eventually(lambda: any(run.ticket.request_id == name for run in list(server.app.engine.active)))


@contextmanager
def company(server: RunningServer, client: Kandinsky) -> Iterator[str]:
    """A request of normal priority that fills the batch, for ten seconds at least; its id."""
    network, name = server.app.model.networks["prior"], new_id()
    inner = network.call

    def slow(*inputs: Any) -> Any:
        time.sleep(10 / ENDLESS)
        return inner(*inputs)

    with (
        pytest.MonkeyPatch.context() as patch,
        client.stream.prior("a green dog", seed=7, step_count=ENDLESS, **named(name)) as normal,
    ):
        patch.setattr(network, "call", slow)
        wait_for_step(normal, 1)
        yield name


def finish(stream: EventStream) -> list[Any]:
    return [event for event in stream if isinstance(event, EmbeddingReady)]


@pytest.mark.parametrize("urgent", [{"priority": "high"}, {"priority": "normal", "timeout": 3600}])
def test_who_is_waited_for_is_as_urgent_as_who_waits(
    narrow: RunningServer, client: Kandinsky, urgent: dict[str, Any]
) -> None:
    """The first is behind the company with its very first call, the text encoder's."""
    low = new_id()
    options: dict[str, Any] = {"seed": 1, "step_count": STEPS, "timeout": None}
    with company(narrow, client) as normal, ExitStack() as stack:
        leader = stack.enter_context(client.stream.prior(PROMPT, priority="low", **options, **named(low)))
        wait_for_run(narrow, low)
        before = len(order(narrow))
        assert low not in order(narrow)
        client.prior(PROMPT, **{**options, **urgent})
        served = order(narrow)[before:]
        assert order(narrow).count(normal) < ENDLESS, "it was not waited for"
        assert waited(narrow, low) < AGING_SECONDS
        assert served.count(low) == STEPS
        first, last = served.index(low), len(served) - served[::-1].index(low)
        assert served[first:last] == [low] * STEPS, "in one go"
        finish(leader)


def test_it_is_so_no_longer_when_they_have_left(narrow: RunningServer, client: Kandinsky) -> None:
    low = new_id()
    options: dict[str, Any] = {"seed": 2, "step_count": ENDLESS}
    with company(narrow, client) as normal, ExitStack() as stack:
        stack.enter_context(client.stream.prior(PROMPT, priority="low", **options, **named(low)))
        wait_for_run(narrow, low)
        with client.stream.prior(PROMPT, priority="high", **options) as high:
            eventually(lambda: order(narrow).count(low) > 3)
            assert order(narrow).count(normal) < ENDLESS
            assert waited(narrow, low) < AGING_SECONDS
            assert isinstance(next(high), Queued)
        (run,) = [run for run in list(narrow.app.engine.active) if run.ticket.request_id == low]
        eventually(lambda: not run.followers.tickets)
        done, others = run.trajectory.step, order(narrow).count(normal)
        eventually(lambda: order(narrow).count(normal) > others + 5)
        # A step may have begun before they left.
        assert run.trajectory.step <= done + 1


@pytest.mark.slow
def test_followers_outlive_a_leader_whose_time_is_up(
    narrow: RunningServer, client: Kandinsky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them computes anew for all, as the others wait for it."""
    network, go_on = narrow.app.model.networks["prior"], Event()
    inner = network.call

    def held(*inputs: Any) -> Any:
        go_on.wait(60)
        return inner(*inputs)

    monkeypatch.setattr(network, "call", held)
    options: dict[str, Any] = {"seed": 3, "step_count": 4}
    names = [new_id() for _ in range(4)]
    made: list[Any] = []

    def ask(name: str, timeout: float | None) -> None:
        try:
            made.append(client.prior(PROMPT, **options, timeout=timeout, **named(name)))
        except DeadlineExceededError as error:
            made.append(error)

    leader = Thread(target=ask, args=(names[0], 5))
    leader.start()
    eventually(lambda: any(run.work.key.network == "prior" for run in list(narrow.app.engine.active)))
    others = [Thread(target=ask, args=(name, None)) for name in names[1:]]
    for thread in others:
        thread.start()
    (run,) = [run for run in list(narrow.app.engine.active) if run.ticket.request_id == names[0]]
    leader.join(60)
    assert [type(each) for each in made] == [DeadlineExceededError]
    go_on.set()
    for thread in others:
        thread.join(60)
    assert len(made) == 4
    steps = order(narrow)
    assert sorted(steps.count(name) for name in names[1:]) == [0, 0, 4]
    assert run.ticket.failure
