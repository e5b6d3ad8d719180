"""How much of decoded pictures may be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kandinsky_server.engine.admission.allotment import Allotment
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.errors import InvalidImage, QueueFull, QuotaExceeded, Violation


class ByteBudget:
    """Counts the bytes of decoded pictures that requests hold, from before they are decoded to the request's end.

    ``bytes`` says how much each client may have of how much, but for a request that is its client's only one with
    pictures. ``retry_after`` says in seconds when to come back. Belongs to the event loop.
    """

    def __init__(self, bytes: Allotment, retry_after: Callable[[], float]) -> None:
        self.bytes = bytes
        self.retry_after = retry_after
        self._held: dict[Ticket, int] = {}

    @contextmanager
    def account(self, ticket: Ticket) -> Iterator[None]:
        """Gives back at the end of the block what the request has taken in it."""
        try:
            yield
        finally:
            self.bytes.take(ticket.holder, -self._held.pop(ticket, 0))

    def take(self, ticket: Ticket, amount: int, field: str) -> None:
        """Takes ``amount`` bytes for a request, within its `account`; ``field`` is the picture's, for the error.

        Nobody waits here: a request that waited would hold its place and its message, and could go elsewhere.

        Raises:
            InvalidImage: it is more than there is in all.
            QueueFull: others hold too much.
            QuotaExceeded: its client does.
        """
        size, taken = self.bytes.size, self.bytes.taken
        if amount > size:
            raise InvalidImage(
                [
                    Violation(
                        field,
                        f"takes, with what comes with it, {amount} bytes at the size asked for and may take {size}; "
                        "ask for a smaller image, or send fewer at once",
                    )
                ]
            )
        if taken + amount > size:
            raise QueueFull(
                f"the pictures of waiting requests take {taken} of {size} bytes and this one's {amount}; "
                "retry later",
                self.retry_after(),
                limit_bytes=size,
                held_bytes=taken,
                request_bytes=amount,
            )
        own, allowed = self.bytes.held(ticket.holder), self.bytes.allowed(ticket.holder, ticket.share)
        if own and own + amount > allowed:
            raise QuotaExceeded(
                f"the pictures of {ticket.holder_name} take {own} bytes and may take {allowed}; "
                "wait for your own requests to finish",
                self.retry_after(),
                limit_bytes=allowed,
                held_bytes=own,
                request_bytes=amount,
            )
        self._held[ticket] = self._held.get(ticket, 0) + amount
        self.bytes.take(ticket.holder, amount)
