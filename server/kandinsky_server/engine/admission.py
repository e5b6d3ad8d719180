"""Who is let in: a bounded queue, fair shares, and no work that cannot be done in time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kandinsky_server.engine.allotment import Allotment
from kandinsky_server.engine.company import Company
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.forecast import Forecast, Pace, forecast
from kandinsky_server.engine.load import Load
from kandinsky_server.engine.ticket import Precedence, Ticket
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

    ``queue_size`` bounds them all, a ticket's share or ``default_share`` what its client may hold of it. ``empty`` is set
    while there are none. Belongs to the event loop.
    """

    def __init__(self, engine: Engine, queue_size: int, default_share: float = 1.0) -> None:
        self.engine = engine
        self.places = Allotment(queue_size, default_share)
        self.draining = False
        self.company = Company()
        self.tickets: set[Ticket] = set()
        self.empty = asyncio.Event()
        self.empty.set()

    @property
    def length(self) -> int:
        """Places that are taken."""
        return self.places.taken

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
            DeadlineUnreachable: the prediction ends after the ticket's deadline, or after the longest life of a request;
                retry after as long as it is late.
        """
        self._check_open()
        places = max(1, sum(load.denoising for first in loads for load in first.all()))
        self._check_size(ticket, places, ask_less)
        self._check_room(ticket, places)
        prediction = self.predict(loads, ticket)
        self._check_deadline(ticket, loads, prediction)
        self.company.observe(load for *_, load in self._outstanding())
        self._hold(ticket, places)
        ticket.planned.add(loads)
        return prediction

    def release(self, ticket: Ticket) -> None:
        """Gives the request's places back. Harmless when it holds none."""
        if ticket in self.tickets:
            self.tickets.discard(ticket)
            self.places.take(ticket.holder, -ticket.places)
            if not self.tickets:
                self.company.forget()
                self.empty.set()

    def predict(self, loads: Sequence[Load], ticket: Ticket, hopeful: bool = False) -> Forecast:
        """When such a request would start and finish if it came now; with ``hopeful``, at the soonest.

        Who does not read holds nobody up.
        """
        ahead: list[Load] = []
        behind: list[Load] = []
        for other, precedence, load in self._outstanding():
            if other.unread:
                continue
            (ahead if precedence <= ticket.precedence else behind).append(load)
        pace = Pace(self.engine.cost, self._rows_for, self.company.rows, hopeful)
        return forecast(ahead, loads, behind, pace)

    def _hold(self, ticket: Ticket, places: int) -> None:
        self.places.take(ticket.holder, places - ticket.places)
        ticket.places = places
        self.tickets.add(ticket)
        self.empty.clear()

    def _check_open(self) -> None:
        if self.draining:
            raise Draining(
                "this server is shutting down; another replica can serve this", DRAINING_RETRY_SECONDS
            )

    def most(self, ticket: Ticket) -> int:
        """Places that the request's client may ever hold, 1 at least."""
        return self.places.most(ticket.share)

    def _check_size(self, ticket: Ticket, count: int, ask_less: Callable[[int], list[Violation]]) -> None:
        allowed = self.most(ticket)
        if count > allowed:
            why = f"this request needs {count} places in the queue and its client may hold {allowed}"
            less = ask_less(allowed)
            raise InvalidField([Violation(v.field, f"{v.description}, since {why}") for v in less])

    def _check_room(self, ticket: Ticket, count: int) -> None:
        """Whether the request may hold so many places, those included that it has."""
        allowed = self.places.allowed(ticket.holder, ticket.share)
        held = self.places.held(ticket.holder) - ticket.places
        taken = self.length - ticket.places
        if taken + count > self.places.size:
            raise QueueFull(
                f"{taken} of {self.places.size} places are taken and this request needs {count}; retry later",
                self.retry_after(),
            )
        if held + count > allowed:
            raise QuotaExceeded(
                f"{ticket.holder_name} holds {held} places and may hold {allowed}; wait for your own requests to finish",
                self.retry_after(),
            )

    def _check_deadline(self, ticket: Ticket, loads: Sequence[Load], prediction: Forecast) -> None:
        """Whoever comes back after as long as the result would be late finds that much less before it."""
        ends = [end for end in (ticket.deadline, ticket.life_ends) if end is not None]
        if not ends or not prediction.measured:
            return
        left = min(ends) - time.monotonic()
        late = prediction.finish - left
        if late <= 0 or (self._is_probe(loads) and self.predict(loads, ticket, hopeful=True).finish <= left):
            return
        alone = forecast([], loads, [], Pace(self.engine.cost, self._rows_for, {})).finish
        limit, advice = f"the deadline is in {left:.1f} s", f"retry in about {late:.1f} s, or allow more time"
        if alone > left:
            # A tenth or two more, so that what is allowed is still enough when it has come here.
            enough = math.floor(alone * 10 + 2) / 10
            advice = f"no retry helps: allow at least the {enough:.1f} s that it takes alone"
        if ticket.life_ends == min(ends):
            limit = f"this server ends a request after {left:.1f} s"
            advice = "no retry helps" if alone > left else f"retry in about {late:.1f} s"
        raise DeadlineUnreachable(
            f"the result would take about {prediction.finish:.1f} s and {limit}; "
            f"{advice}, or ask for fewer steps or images",
            max(MIN_RETRY_SECONDS, late),
        )

    def _is_probe(self, loads: Sequence[Load]) -> bool:
        """Whether nobody else works in the request's lanes: unless it is let in, nothing corrects their step times."""
        own = {load.lane for first in loads for load in first.all()}
        busy = {load.lane for *_, first in self._outstanding() for load in first.all()}
        return not own & busy

    def retry_after(self) -> float:
        """Seconds until the queue is about half empty."""
        loads = [load for *_, load in self._outstanding()]
        everything = forecast([], loads, [], Pace(self.engine.cost, self._rows_for, {}))
        return max(MIN_RETRY_SECONDS, everything.finish / 2)

    def _outstanding(self) -> list[tuple[Ticket, Precedence, Load]]:
        """What runs and what admitted requests will still submit, with whose it is and how urgent, the most urgent first.

        Of a request that has ended it is only the step that is being taken.
        """
        loads, now = [], time.monotonic()
        for run in self.engine.active:
            trajectory, ended = run.trajectory, run.ticket.verdict(now) is not None
            left = 1 if ended else max(1, trajectory.step_count - trajectory.step)
            if run.seated or not ended:
                then = () if ended else run.then
                loads.append((run.ticket, run.precedence, Load(trajectory.lane, trajectory.rows, left, then)))
        for ticket in self.tickets:
            if ticket.verdict(now) is None:
                loads.extend((ticket, ticket.precedence, load) for load in ticket.planned)
        return sorted(loads, key=lambda item: item[1])

    def _rows_for(self, lane: LaneKey) -> int:
        if self.engine.exclusive:
            return 1
        return self.engine.networks[lane.network].rows_for(lane.area)
