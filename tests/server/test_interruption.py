"""A request that ends early frees its rows within one step."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kandinsky_client import DeadlineExceededError, EmbeddingPair, EventStream, Kandinsky
from kandinsky_server.engine.report import StepReport
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.errors import RequestCancelled
from kandinsky_server.testing.calls import ENDLESS, members, named, new_id, wait_for_step
from kandinsky_server.testing.oracle import oracle
from kandinsky_server.testing.pipelines import Variant, pair_of, picture, sendable
from kandinsky_server.testing.running import Recorder, RunningServer

UNMEASURED: dict[str, Any] = {"width_px": 64, "height_px": 192}
"""A size that no other test asks for: a deadline that cannot be met is then not known at arrival."""


class Overstays(Recorder):
    """Keeps the steps after whose start a rider's request was over."""

    def on_step(self, report: StepReport) -> None:
        began = time.monotonic() - report.seconds
        over = [ticket for ticket, _ in report.members if is_over(ticket, began)]
        self.steps += [report] * len(over)


def is_over(ticket: Ticket, then: float) -> bool:
    """Whether the request had ended by now for another reason than having its result, or its time was up."""
    return ticket.failure is not None or (ticket.deadline is not None and ticket.deadline < then)


@pytest.fixture(scope="module")
def pair(tiny_model: Path) -> EmbeddingPair:
    return sendable(pair_of(oracle(tiny_model), Variant()))[0]


@pytest.fixture
def overstays(server: RunningServer) -> Iterator[list[StepReport]]:
    watcher = Overstays()
    server.app.engine.observers.append(watcher)
    yield watcher.steps
    server.app.engine.observers.remove(watcher)


@pytest.fixture
def neighbour(client: Kandinsky, pair: EmbeddingPair) -> Iterator[EventStream]:
    """A request in the same batches, to see that they go on."""
    with client.stream.decode(pair, seed=1, step_count=ENDLESS) as events:
        wait_for_step(events, 1)
        yield events


def ticket_of(server: RunningServer, name: str) -> Ticket:
    return next(members(report)[name] for report in server.recorder.steps if name in members(report))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


def wait_for_more_steps(events: EventStream) -> None:
    """Until the neighbour has done five more steps, so that whoever would ride on has had the chance."""
    wait_for_step(events, wait_for_step(events, 1).step + 5)


@pytest.mark.parametrize("rpc", ["decode", "img2img", "prior", "generate"])
def test_cancel_frees_the_rows_within_one_step(
    server: RunningServer,
    client: Kandinsky,
    pair: EmbeddingPair,
    neighbour: EventStream,
    overstays: list[StepReport],
    rpc: str,
) -> None:
    name = new_id()
    calls: dict[str, Callable[..., EventStream]] = {
        "decode": lambda **options: client.stream.decode(pair, **options),
        "img2img": lambda **options: client.stream.img2img(pair, picture(1), **options),
        "prior": lambda **options: client.stream.prior("a sky", **options),
        "generate": lambda **options: client.stream.generate("a house", prior_step_count=2, **options),
    }
    events = calls[rpc](seed=2, image_count=2, step_count=ENDLESS, **named(name))
    wait_for_step(events, 3)
    events.close()
    wait_until(lambda: ticket_of(server, name).failure is not None)
    wait_for_more_steps(neighbour)
    assert isinstance(ticket_of(server, name).failure, RequestCancelled)
    # Two images are two members of one step.
    assert len([report for report in overstays if name in members(report)]) <= 2
    wait_until(lambda: server.app.admission.length == 1)


@pytest.mark.slow
def test_a_deadline_that_passes_frees_the_rows_within_one_step(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, overstays: list[StepReport]
) -> None:
    name, before = new_id(), deadlines_passed(server)
    events = client.stream.decode(pair, seed=2, step_count=ENDLESS, timeout=5, **UNMEASURED, **named(name))
    wait_for_step(events, 1)
    with pytest.raises(DeadlineExceededError):
        list(events)
    wait_until(lambda: server.app.admission.length == 0)
    assert len([report for report in overstays if name in members(report)]) <= 1
    wait_until(lambda: deadlines_passed(server) == before + 1)


def test_a_request_that_waits_can_be_cancelled(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair
) -> None:
    name = new_id()
    crowd = client.stream.decode(pair, seed=1, step_count=ENDLESS, image_count=8)
    wait_for_step(crowd, 1)
    waiting = client.stream.decode(pair, seed=2, step_count=ENDLESS, **named(name))
    next(waiting)
    waiting.close()
    wait_until(lambda: server.app.admission.length == 8)
    crowd.close()
    wait_until(lambda: server.app.admission.length == 0)
    assert not any(name in members(report) for report in server.recorder.steps)


def deadlines_passed(server: RunningServer) -> float:
    """How many Decodes the server itself, not only the client, knows to have run out of time."""
    labels = {"rpc": "Decode", "code": "DEADLINE_EXCEEDED"}
    return server.app.metrics.registry.get_sample_value("kandinsky_requests_total", labels) or 0.0
