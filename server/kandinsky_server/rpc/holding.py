"""Bytes of requests that have come in, and wait until they have been read into something smaller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kandinsky_server.engine.admission.allotment import Allotment
from kandinsky_server.errors import ReceivingFull

UNCOUNTED = 64 * 1024
"""A message of so many bytes is always held: a queue full of them is little."""

RETRY_SECONDS = 1.0


class Holding:
    """``bytes`` says how much each client, or connection, may have of how much."""

    def __init__(self, bytes: Allotment) -> None:
        self.bytes = bytes

    @contextmanager
    def hold(self, holder: str, share: float | None, size: int) -> Iterator[None]:
        """Counts a message of ``size`` bytes until it is let go.

        Raises:
            ReceivingFull: there is no room for it.
        """
        if size <= UNCOUNTED:
            yield
            return
        held = self.bytes.held(holder) + size
        if self.bytes.taken + size > self.bytes.size or held > self.bytes.allowed(holder, share):
            raise ReceivingFull(
                "too many large messages wait to be looked at; send it again later", RETRY_SECONDS
            )
        self.bytes.take(holder, size)
        try:
            yield
        finally:
            self.bytes.take(holder, -size)
