"""One streaming call over all its tries: sans-IO, the same for both clients."""

from __future__ import annotations

from typing import Any

import grpc

from kandinsky_client.assembly import Assembly
from kandinsky_client.errors import from_grpc
from kandinsky_client.events import EmbeddingReady, Event, ImageReady
from kandinsky_client.result_sets import Completed
from kandinsky_client.retry import Retry


class Exchange:
    """What a stream's loop asks: which events a message makes, and whether to try again.

    Args:
        retry: The patience of this call.
    """

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._assembly = Assembly()
        self._delivered = False

    def timeout(self) -> float | None:
        """Returns the seconds left; None is no limit."""
        return self._retry.timeout()

    def receive(self, response: Any) -> list[Event]:
        """Returns the events that a message completes; raises IncompleteStreamError."""
        events = list(self._assembly.receive(response))
        self._delivered |= any(isinstance(event, EmbeddingReady | ImageReady) for event in events)
        return events

    def finish(self) -> Completed:
        """Returns the last event of a stream that ended with OK; raises IncompleteStreamError."""
        return self._assembly.finish()

    def delay_after(self, error: grpc.RpcError) -> float:
        """Returns the seconds to wait before the next try, or raises the typed error.

        Once a result was delivered there is no next try: it could come twice.
        """
        typed = from_grpc(error)
        if self._delivered:
            raise typed from None
        self._assembly = Assembly()
        return self._retry.delay_after(typed)
