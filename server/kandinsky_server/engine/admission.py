"""Who is let in: a bounded queue, fair shares, and no work that cannot be done in time."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kandinsky_server.engine.company import Company
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.forecast import Forecast, Pace, forecast
from kandinsky_server.engine.load import Load
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.trajectory import LaneKey
from kandinsky_server.errors import (
    DeadlineUnreachable,
    Draining,
    InvalidField,
    QueueFull,
    QuotaExceeded,
    Violation,
)

DRAINING_RETRY_SECONDS = 1.0
MIN_RETRY_SECONDS = 0.1


class Admission:
    """Counts places from a request's arrival to its end: one for each of its trajectories, and one at least.

    ``queue_size`` bounds them all, a ticket's ``share`` what its client may hold of it. ``empty`` is set
    while there are none. Belongs to the event loop.
    """

    def __init__(self, engine: Engine, queue_size: int) -> None:
        self.engine = engine
        self.queue_size = queue_size
        self.draining = False
        self.company = Company()
        self.tickets: set[Ticket] = set()
        self.empty = asyncio.Event()
        self.empty.set()
        self._by_client: Counter[str] = Counter()

    @property
    def length(self) -> int:
        """Places that are taken."""
        return sum(ticket.places for ticket in self.tickets)

    @contextmanager
    def enter(self, ticket: Ticket) -> Iterator[None]:
        """Holds a first place while a request is read, and all that `admit` gives it, to the end of the block.

        Raises:
            Draining: the server is shutting down.
            QueueFull: there is no room; retry after the predicted time until there is.
            QuotaExceeded: this client holds its share.
        """
        self._check_open()
        self._check_room(ticket, 1)
        self._hold(ticket, 1)
        try:
            yield
        finally:
            self.release(ticket)

    def admit(
        self, ticket: Ticket, loads: Sequence[Load], ask_less: Callable[[int], list[Violation]]
    ) -> Forecast:
        """Gives a request its places, until ``release``.

        ``ask_less`` says what to change of a request that may have only so many places.

        Raises:
            Draining: the server is shutting down.
            InvalidField: it needs more places than its client may ever hold.
            QueueFull: there is no room; retry after the predicted time until there is.
            QuotaExceeded: this client holds its share.
            DeadlineUnreachable: the prediction ends after the ticket's deadline; retry after as long as it is late.
        """
        self._check_open()
        places = max(1, sum(load.denoising for first in loads for load in first.all()))
        self._check_size(ticket, places, ask_less)
        self._check_room(ticket, places)
        prediction = self.predict(loads, ticket)
        self._check_deadline(ticket, loads, prediction)
        self.company.observe(load for _, load in self._outstanding())
        self._hold(ticket, places)
        ticket.planned.add(loads)
        return prediction

    def release(self, ticket: Ticket) -> None:
        """Gives the request's places back. Harmless when it holds none."""
        if ticket in self.tickets:
            self.tickets.discard(ticket)
            self._by_client[ticket.client] -= ticket.places
            if not self._by_client[ticket.client]:
                del self._by_client[ticket.client]
            if not self.tickets:
                self.company.forget()
                self.empty.set()

    def predict(self, loads: Sequence[Load], ticket: Ticket) -> Forecast:
        """When such a request would start and finish if it came now."""
        ahead: list[Load] = []
        behind: list[Load] = []
        for other, load in self._outstanding():
            (ahead if other.precedence <= ticket.precedence else behind).append(load)
        return forecast(ahead, loads, behind, Pace(self.engine.cost, self._rows_for, self.company.rows))

    def _hold(self, ticket: Ticket, places: int) -> None:
        self._by_client[ticket.client] += places - ticket.places
        ticket.places = places
        self.tickets.add(ticket)
        self.empty.clear()

    def _check_open(self) -> None:
        if self.draining:
            raise Draining(
                "this server is shutting down; another replica can serve this", DRAINING_RETRY_SECONDS
            )

    def allowed(self, ticket: Ticket) -> int:
        """Places that the request's client may hold, 1 at least."""
        return max(1, int(ticket.share * self.queue_size))

    def _check_size(self, ticket: Ticket, count: int, ask_less: Callable[[int], list[Violation]]) -> None:
        allowed = self.allowed(ticket)
        if count > allowed:
            why = f"this request needs {count} places in the queue and its client may hold {allowed}"
            less = ask_less(allowed)
            raise InvalidField([Violation(v.field, f"{v.description}, since {why}") for v in less])

    def _check_room(self, ticket: Ticket, count: int) -> None:
        """Whether the request may hold so many places, those included that it has."""
        allowed = self.allowed(ticket)
        held = self._by_client[ticket.client] - ticket.places
        taken = self.length - ticket.places
        if taken + count > self.queue_size:
            raise QueueFull(
                f"{taken} of {self.queue_size} places are taken and this request needs {count}; retry later",
                self._retry_after(),
            )
        if held + count > allowed:
            raise QuotaExceeded(
                f"client {ticket.client!r} holds {held} places and may hold {allowed}; "
                "wait for your own requests to finish",
                self._retry_after(),
            )

    def _check_deadline(self, ticket: Ticket, loads: Sequence[Load], prediction: Forecast) -> None:
        """Whoever comes back after as long as the result would be late finds that much less before it."""
        if ticket.deadline is None or not prediction.measured:
            return
        left = ticket.deadline - time.monotonic()
        late = prediction.finish - left
        if late <= 0:
            return
        alone = forecast([], loads, [], Pace(self.engine.cost, self._rows_for, {})).finish
        advice = f"retry in about {late:.1f} s, or allow more time"
        if alone > left:
            # A tenth or two more, so that what is allowed is still enough when it has come here.
            enough = math.floor(alone * 10 + 2) / 10
            advice = f"no retry helps: allow at least the {enough:.1f} s that it takes alone"
        raise DeadlineUnreachable(
            f"the result would take about {prediction.finish:.1f} s and the deadline is in {left:.1f} s; "
            f"{advice}, or ask for fewer steps or images",
            max(MIN_RETRY_SECONDS, late),
        )

    def _retry_after(self) -> float:
        """Until the queue is about half empty."""
        loads = [load for _, load in self._outstanding()]
        everything = forecast([], loads, [], Pace(self.engine.cost, self._rows_for, {}))
        return max(MIN_RETRY_SECONDS, everything.finish / 2)

    def _outstanding(self) -> list[tuple[Ticket, Load]]:
        """What runs and what admitted requests will still submit, with whose it is, in order of arrival."""
        loads = []
        for run in self.engine.active:
            trajectory = run.trajectory
            left = max(1, trajectory.step_count - trajectory.step)
            loads.append((run.ticket, Load(trajectory.lane, trajectory.rows, left, run.then)))
        for ticket in self.tickets:
            loads.extend((ticket, load) for load in ticket.planned)
        return sorted(loads, key=lambda item: item[0].precedence)

    def _rows_for(self, lane: LaneKey) -> int:
        if self.engine.exclusive:
            return 1
        return self.engine.networks[lane.network].rows_for(lane.area)
