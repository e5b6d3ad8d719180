"""Steps that a request's rows still ride after it was cancelled, or after its deadline."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from kandinsky_client import DeadlineExceededError, EmbeddingPair, EventStream, Kandinsky, Progress
from kandinsky_server.engine.report import StepReport
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.testing.running import RunningServer

from benchmarks.figure import Figure, at_most
from benchmarks.load import Material
from benchmarks.setting import Setting

SETTLE_SECONDS = 0.3
DEADLINE_SECONDS = 0.2
STEPS = 1000


class Watch:
    """An engine observer that counts, for each request, the steps that ended after it had.

    While ``expiring`` it gives every request it has not seen before a deadline. A client's own would not do: admission
    refuses at once what cannot be done in time.
    """

    def __init__(self) -> None:
        self.late: Counter[Ticket] = Counter()
        self.expiring = False

    def on_step(self, report: StepReport) -> None:
        now = time.monotonic()
        for ticket, _ in report.members:
            if self.expiring and ticket not in self.late:
                ticket.deadline = now + DEADLINE_SECONDS
            self.late[ticket] += ticket.check_expired(now) is not None

    def on_fallback(self, network: str, stage: str, backend: str, reason: str) -> None: ...

    def on_out_of_memory(self, network: str, stage: str, rows: int) -> None: ...

    def on_unprepared(self, network: str) -> None: ...


def measure(setting: Setting) -> Iterator[Figure]:
    """In this process, where the engine can be watched; a neighbour keeps the batch going all the time."""
    watch, rounds = Watch(), setting.scaled(20, 3)
    options = {"backend": setting.backend, "threads": setting.threads}
    with RunningServer(setting.model, **options) as server, server.client() as client:
        pair = Material.of(client).pair
        server.app.engine.observers.append(watch)
        with client.stream.decode(pair, seed=0, step_count=STEPS) as neighbour:
            _ride(neighbour)
            for seed in range(rounds):
                _cancel(client, pair, seed)
                watch.expiring = True
                _expire(client, pair, seed)
                watch.expiring = False
        time.sleep(SETTLE_SECONDS)
    rides = [number for ticket, number in watch.late.items() if ticket.failure]
    assert len(rides) == 2 * rounds + 1, "every request ended early, the neighbour too"
    yield Figure(
        f"steps after cancel or deadline, {setting.backend}",
        at_most(1),
        [max(rides)],
        "",
        setting.command("cancel"),
        f"the most of {len(rides)} requests; {sum(rides)} steps in all",
    )


def _cancel(client: Kandinsky, pair: EmbeddingPair, seed: int) -> None:
    with client.stream.decode(pair, seed=seed, step_count=STEPS) as events:
        _ride(events)


def _expire(client: Kandinsky, pair: EmbeddingPair, seed: int) -> None:
    try:
        client.decode(pair, seed=seed, step_count=STEPS)
    except DeadlineExceededError:
        return
    raise AssertionError("the request ended before its deadline")


def _ride(events: EventStream) -> None:
    """Waits until the request has taken a step."""
    next(event for event in events if isinstance(event, Progress))
