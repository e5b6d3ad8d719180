"""Who is let in: a bounded queue, fair shares, and no work that cannot be done in time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kandinsky_server.engine.admission.allotment import Allotment
from kandinsky_server.engine.admission.background import BackgroundLoad
from kandinsky_server.engine.admission.forecast import Forecast, Pace, forecast
from kandinsky_server.engine.admission.load import Load
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.ticket import Precedence, Ticket
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.work import Remaining, Work, whole
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
        self.background = BackgroundLoad()
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
        self, ticket: Ticket, works: Sequence[Work[Any]], ask_less: Callable[[int], list[Violation]]
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
        places = max(1, sum(work.denoising for work in works))
        self._check_size(ticket, places, ask_less)
        self._check_room(ticket, places)
        prediction = self.predict(works, ticket)
        self._check_deadline(ticket, works, prediction)
        self.background.observe(self._ready())
        self._hold(ticket, places)
        ticket.planned.add(works)
        return prediction

    def release(self, ticket: Ticket) -> None:
        """Gives the request's places back. Harmless when it holds none."""
        if ticket in self.tickets:
            self.tickets.discard(ticket)
            self.places.take(ticket.holder, -ticket.places)
            ticket.planned.clear()
            if not self.tickets:
                self.background.forget()
                self.empty.set()

    def predict(self, works: Sequence[Work[Any]], ticket: Ticket, hopeful: bool = False) -> Forecast:
        """When such a request would start and finish if it came now; with ``hopeful``, at the soonest.

        Who does not read holds nobody up.
        """
        ahead: list[Remaining] = []
        behind: list[Remaining] = []
        for other, precedence, remaining in self._outstanding():
            if other.unread:
                continue
            (ahead if precedence <= ticket.precedence else behind).append(remaining)
        pace = Pace(self.engine.cost, self._rows_for, self.background.rows, hopeful)
        return forecast(ahead, whole(works), behind, pace)

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
        """Raises QueueFull or QuotaExceeded unless ``count`` places fit the queue and the client's share.

        Those that the request holds already are among them.
        """
        allowed = self.places.allowed(ticket.holder, ticket.share)
        held = self.places.held(ticket.holder) - ticket.places
        taken = self.length - ticket.places
        if taken + count > self.places.size:
            raise QueueFull(
                f"{taken} of {self.places.size} places are taken and this request needs {count}; retry later",
                self.retry_after(),
                queue_size=self.places.size,
                queue_length=taken,
                trajectory_count=count,
            )
        if held + count > allowed:
            raise QuotaExceeded(
                f"{ticket.holder_name} holds {held} places and may hold {allowed}; wait for your own requests to finish",
                self.retry_after(),
                allowed_count=allowed,
                held_count=held,
                trajectory_count=count,
            )

    def _check_deadline(self, ticket: Ticket, works: Sequence[Work[Any]], prediction: Forecast) -> None:
        """Refuses what would end too late; ``retry_after`` is by how much: as much queued work is done by then."""
        ends = [end for end in (ticket.deadline, ticket.life_ends) if end is not None]
        if not ends or not prediction.measured:
            return
        left = min(ends) - time.monotonic()
        late = prediction.finish - left
        if late <= 0 or (self._is_probe(works) and self.predict(works, ticket, hopeful=True).finish <= left):
            return
        alone = forecast([], whole(works), [], Pace(self.engine.cost, self._rows_for, {})).finish
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
            predicted_seconds=f"{prediction.finish:.1f}",
            alone_seconds=f"{alone:.1f}",
            left_seconds=f"{left:.1f}",
        )

    def _is_probe(self, works: Sequence[Work[Any]]) -> bool:
        """Whether nobody else works in the request's lanes: unless it is let in, nothing corrects their step times."""
        own = {work.key for work in works}
        busy = {remaining.work.key for *_, remaining in self._outstanding()}
        return not own & busy

    def retry_after(self) -> float:
        """Seconds until the queue is about half empty."""
        return max(MIN_RETRY_SECONDS, self._queued_seconds() / 2)

    def load(self) -> Load:
        """How much there is to do now."""
        running = {run.ticket for run in self.engine.active if run.started is not None} & self.tickets
        return Load(len(self.tickets) - len(running), len(running), self._queued_seconds())

    def _queued_seconds(self) -> float:
        outstanding = [remaining for *_, remaining in self._outstanding()]
        return forecast([], outstanding, [], Pace(self.engine.cost, self._rows_for, {})).finish

    def _outstanding(self) -> list[tuple[Ticket, Precedence, Remaining]]:
        """What runs and what admitted requests will still submit, with whose it is and how urgent, the most urgent first.

        Of a request that has ended it is only the step that is being taken.
        """
        found, now = [], time.monotonic()
        for run in self.engine.active:
            ended = run.ticket.check_expired(now) is not None
            left = 1 if ended else max(1, run.trajectory.step_count - run.trajectory.step)
            if run.batched or not ended:
                found.append((run.ticket, run.precedence, Remaining(run.work, left)))
        for ticket in self.tickets:
            if ticket.check_expired(now) is None:
                found.extend((ticket, ticket.precedence, each) for each in whole(ticket.planned))
        return sorted(found, key=lambda item: item[1])

    def _ready(self) -> list[Work[Any]]:
        """Of what is outstanding, that which waits for nothing else of its request."""
        works = [remaining.work for *_, remaining in self._outstanding()]
        outstanding = set(works)
        return [work for work in works if outstanding.isdisjoint(work.needs)]

    def _rows_for(self, lane: BatchKey) -> int:
        if self.engine.exclusive:
            return 1
        return self.engine.networks[lane.network].rows_for(lane.area)
