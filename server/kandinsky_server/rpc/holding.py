"""Bytes of requests that have come in, and wait until they have been read into something smaller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from kandinsky_server.errors import ReceivingFull

UNCOUNTED = 64 * 1024
"""A message of so many bytes is always held: a queue full of them is little."""

RETRY_SECONDS = 1.0


class Holding:
    """At most ``most`` bytes at once, and of each client its share of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = Counter[str]()

    @contextmanager
    def hold(self, client: str, share: float, size: int) -> Iterator[None]:
        """Counts a message of ``size`` bytes until it is let go.

        Raises:
            ReceivingFull: there is no room for it.
        """
        if size <= UNCOUNTED:
            yield
            return
        if self.held.total() + size > self.most or self.held[client] + size > share * self.most:
            raise ReceivingFull(
                "too many large messages wait to be looked at; send it again later", RETRY_SECONDS
            )
        self.held[client] += size
        try:
            yield
        finally:
            self.held[client] -= size
            if not self.held[client]:
                del self.held[client]
