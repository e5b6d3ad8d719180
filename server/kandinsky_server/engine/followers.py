"""Requests that wait for what another one computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kandinsky_server.engine.ticket import Ticket


class Followers:
    """Changed on the event loop, read by the engine's thread: ``tickets`` is never changed but replaced."""

    def __init__(self) -> None:
        self.tickets: tuple[Ticket, ...] = ()

    @contextmanager
    def join(self, ticket: Ticket) -> Iterator[None]:
        """One more, to the end of the block."""
        self.tickets = (*self.tickets, ticket)
        try:
            yield
        finally:
            self.tickets = tuple(other for other in self.tickets if other is not ticket)
