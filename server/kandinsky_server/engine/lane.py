"""The trajectories that may share a network call, and who of them goes next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from kandinsky_server.engine.run import Run
from kandinsky_server.engine.slots import fill_slots
from kandinsky_server.engine.trajectory import BatchKey

AGING_SECONDS = 30.0
"""A request's priority rises by one class for each so many seconds that it has waited, in all, until it ends.

So nothing starves. Time in a batch is no waiting: a long run does not overtake the urgent ones that come after it. It is
longer than most requests take, so that equal requests are served one after the other and not in turns.
"""


@dataclass
class Lane:
    """Members in any order; ``form`` sorts. ``last_served`` makes lanes take turns."""

    key: BatchKey
    members: list[Run[Any]] = field(default_factory=list)
    last_served: float = field(default_factory=time.monotonic)

    @property
    def ready(self) -> list[Run[Any]]:
        """The members that would take a slot."""
        return [run for run in self.members if not run.paused]

    def urgency(self, now: float) -> int:
        """The highest effective priority class among those who are ready, who may be nobody by now."""
        return max((effective_priority(run, now) for run in self.ready), default=0)

    def form(self, now: float, max_rows: int) -> list[Run[Any]]:
        """Those who go next, while rows last: by class, earliest deadline, arrival; one at least, if any is ready."""
        ordered = sorted(self.ready, key=lambda run: slot_order(run, now))
        return fill_slots(ordered, lambda run: run.work.rows, max_rows)


def effective_priority(run: Run[Any], now: float) -> int:
    """The priority class, raised by one for every ``AGING_SECONDS`` that the run has waited."""
    return run.priority + int(run.waited(now) / AGING_SECONDS)


def slot_order(run: Run[Any], now: float) -> tuple[int, float, float, float]:
    """Sorts who gets a slot first."""
    _, deadline, arrival = run.precedence
    return (-effective_priority(run, now), deadline, arrival, run.submitted)
