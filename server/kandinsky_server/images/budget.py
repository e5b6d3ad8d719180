"""How much of decoded pictures may be kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.errors import InvalidImage, QueueFull, QuotaExceeded, Violation


class ByteBudget:
    """Counts the bytes of decoded pictures that requests hold, from before they are decoded to the request's end.

    ``size`` bounds them all, a ticket's ``share`` what its client may hold of it, but for a request that is its client's
    only one with pictures. ``retry_after`` says in seconds when to come back. Belongs to the event loop.
    """

    def __init__(self, size: int, retry_after: Callable[[], float]) -> None:
        self.size = size
        self.retry_after = retry_after
        self._held: dict[Ticket, int] = {}

    @property
    def held(self) -> int:
        """Bytes in all."""
        return sum(self._held.values())

    @contextmanager
    def account(self, ticket: Ticket) -> Iterator[None]:
        """Gives back at the end of the block what the request has taken in it."""
        try:
            yield
        finally:
            self._held.pop(ticket, None)

    def take(self, ticket: Ticket, amount: int, field: str) -> None:
        """Takes ``amount`` bytes for a request, within its `account`; ``field`` is the picture's, for the error.

        Nobody waits here: a request that waited would hold its place and its message, and could go elsewhere.

        Raises:
            InvalidImage: it is more than there is in all.
            QueueFull: others hold too much.
            QuotaExceeded: its client does.
        """
        if amount > self.size:
            raise InvalidImage(
                [
                    Violation(
                        field,
                        f"takes, with what comes with it, {amount} bytes at the size asked for and may take {self.size}; "
                        "ask for a smaller image, or send fewer at once",
                    )
                ]
            )
        if self.held + amount > self.size:
            raise QueueFull(
                f"the pictures of waiting requests take {self.held} of {self.size} bytes and this one's {amount}; "
                "retry later",
                self.retry_after(),
            )
        of_client: Counter[str] = Counter()
        for other, bytes_held in self._held.items():
            of_client[other.client] += bytes_held
        own = of_client[ticket.client]
        if own and own + amount > ticket.share * self.size:
            raise QuotaExceeded(
                f"the pictures of client {ticket.client!r} take {own} bytes and may take "
                f"{int(ticket.share * self.size)}; wait for your own requests to finish",
                self.retry_after(),
            )
        self._held[ticket] = self._held.get(ticket, 0) + amount
