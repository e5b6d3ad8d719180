"""The trajectories that may share a network call, and who of them goes next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from kandinsky_server.engine.run import Run
from kandinsky_server.engine.seating import seat
from kandinsky_server.engine.trajectory import LaneKey

AGING_SECONDS = 30.0
"""A run that has waited this long for seats, in all, counts as one class higher until its request ends, and so on.

So nothing starves: who is passed over rises above those who come later, and does not fall back when it is served. Time
in a seat is no waiting: a long run does not outgrow the urgent ones that come after it. It is longer than most requests
take, lest equals take turns and all end late.
"""


@dataclass
class Lane:
    """Members in any order; ``form`` sorts. ``last_served`` makes lanes take turns."""

    key: LaneKey
    members: list[Run[Any]] = field(default_factory=list)
    last_served: float = field(default_factory=time.monotonic)

    @property
    def ready(self) -> list[Run[Any]]:
        """Those who would take a seat."""
        return [run for run in self.members if not run.paused]

    def urgency(self, now: float) -> int:
        """The highest effective priority class among those who are ready, who may be nobody by now."""
        return max((effective_priority(run, now) for run in self.ready), default=0)

    def form(self, now: float, max_rows: int) -> list[Run[Any]]:
        """Seats those who are ready while rows last: priority class, earliest deadline, arrival; one, if anyone is."""
        ordered = sorted(self.ready, key=lambda run: seat_order(run, now))
        return seat(ordered, lambda run: run.work.rows, max_rows)


def effective_priority(run: Run[Any], now: float) -> int:
    """The priority class, raised by one for every ``AGING_SECONDS`` that the run has waited."""
    return run.priority + int(run.waited(now) / AGING_SECONDS)


def seat_order(run: Run[Any], now: float) -> tuple[int, float, float, float]:
    """Sorts who gets a seat first."""
    _, deadline, arrival = run.precedence
    return (-effective_priority(run, now), deadline, arrival, run.submitted)
