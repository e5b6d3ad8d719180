"""Results that wait for their clients to read them: bounded in bytes, for each request and over all."""

from __future__ import annotations

import asyncio

from kandinsky_server.engine.admission.allotment import Allotment
from kandinsky_server.engine.ticket import Ticket


class UnreadBudget:
    """Over all requests at most ``allotment.size`` bytes, and ``request_bytes`` a request; belongs to the event loop."""

    def __init__(self, allotment: Allotment, request_bytes: int) -> None:
        self.allotment = allotment
        self.request_bytes = request_bytes
        self._changed = asyncio.Event()

    def has_room(self, ticket: Ticket, held: int, count: int) -> bool:
        """Whether a request that holds ``held`` bytes may have ``count`` more.

        One result always fits where there is nothing else: a bound may be smaller than a picture.
        """
        if held and held + count > self.request_bytes:
            return False
        allotment = self.allotment
        if not allotment.taken:
            return True
        fits = allotment.taken + count <= allotment.size
        return fits and allotment.held(ticket.holder) + count <= allotment.allowed(
            ticket.holder, ticket.share
        )

    def take(self, ticket: Ticket, count: int) -> None:
        """Takes so many bytes; less than 0 gives them back, and tells who waits for them."""
        self.allotment.take(ticket.holder, count)
        if count < 0:
            self._changed.set()
            self._changed = asyncio.Event()

    async def change(self) -> None:
        """Waits until bytes are given back."""
        await self._changed.wait()


class Unread:
    """What one request holds of the budget, from before a result is made until it has been read."""

    def __init__(self, budget: UnreadBudget, ticket: Ticket) -> None:
        self._budget = budget
        self._ticket = ticket
        self._held = 0
        self._closed = False

    async def room(self, count: int) -> Room:
        """Room for ``count`` bytes, as soon as there is any; until then the request's images are not worked on."""
        if not self._budget.has_room(self._ticket, self._held, count):
            self._ticket.unread += 1
            try:
                while not self._budget.has_room(self._ticket, self._held, count):
                    await self._budget.change()
            finally:
                self._ticket.unread -= 1
        return self._take(count)

    def room_now(self, count: int) -> Room | None:
        """Room for ``count`` bytes if there is some now."""
        return self._take(count) if self._budget.has_room(self._ticket, self._held, count) else None

    def close(self) -> None:
        """Gives everything back: the request has ended."""
        self._change(-self._held)
        self._closed = True

    def _take(self, count: int) -> Room:
        self._change(count)
        return Room(self, count)

    def _change(self, count: int) -> None:
        if count and not self._closed:
            self._held += count
            self._budget.take(self._ticket, count)


class Room:
    """Bytes that were taken for one result."""

    def __init__(self, unread: Unread, count: int) -> None:
        self._unread = unread
        self._count = count

    def resize(self, count: int) -> None:
        """The result takes so many bytes now; 0 when it has been read."""
        self._unread._change(count - self._count)
        self._count = count
