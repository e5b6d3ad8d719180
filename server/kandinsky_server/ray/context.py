"""What gRPC's servicer context is to the interceptor, made of Serve's."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from kandinsky_server.errors import InvalidField, Violation

TIMEOUT_KEY = "x-request-timeout-seconds"
"""Metadata that says how long the client waits, as Serve's HTTP header of this name does: gRPC's own deadline stays in
the proxy."""

Callback = Callable[["Context"], None]


class Context:
    """One call. What is written to it comes out of ``messages``.

    Args:
        request: the request, as the proxy read it.
        outer: Serve's context, a ``RayServegRPCContext``, which goes back to the proxy with each message.
        nothing: an empty response. Serve sends a trailer only with a message, so an error is a message too.
    """

    def __init__(self, request: Message, outer: Any, nothing: Message) -> None:
        self._request: bytes | None = request.SerializeToString()
        self._outer = outer
        self._nothing = nothing
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._callbacks: list[Callback] = []
        self._timeout = dict(outer.invocation_metadata()).get(TIMEOUT_KEY)
        self._begun = time.monotonic()

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """What the client sent beside its request."""
        metadata: Sequence[tuple[str, str | bytes]] = self._outer.invocation_metadata()
        return metadata

    def peer(self) -> str:
        """The proxy's client."""
        return str(self._outer.peer())

    def time_remaining(self) -> float | None:
        """Seconds; None where the client said nothing, or nothing that `read` takes."""
        seconds = _seconds(self._timeout)
        return None if seconds is None else self._begun + seconds - time.monotonic()

    def add_done_callback(self, callback: Callback) -> None:
        """Has ``callback`` called when the call has ended in any way."""
        self._callbacks.append(callback)

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Goes out with the messages that are written from now on."""
        self._outer.set_trailing_metadata(list(metadata))

    async def send_initial_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Serve sends none; the trailer has the same."""

    async def read(self) -> Any:
        """The one request, then EOF.

        Raises:
            InvalidField: the timeout in the metadata is no number of seconds above 0.
        """
        if self._timeout is not None and _seconds(self._timeout) is None:
            raise InvalidField([Violation("", f"the metadata {TIMEOUT_KEY} must be a number above 0")])
        request, self._request = self._request, None
        return grpc.aio.EOF if request is None else request

    async def write(self, message: Message) -> None:
        """Serve takes all that comes: nobody waits for a client that does not read."""
        self._messages.put_nowait(message)

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Sequence[tuple[str, str | bytes]] = (),
    ) -> None:
        """Ends the call with a status other than OK."""
        self._outer.set_code(code)
        self._outer.set_details(details)
        self.set_trailing_metadata(trailing_metadata)
        self._messages.put_nowait(self._nothing)
        raise grpc.aio.AbortError

    async def messages(self, serving: asyncio.Task[None]) -> AsyncGenerator[Message]:
        """All messages that ``serving`` writes, until it ends; ends it when the caller leaves.

        Raises:
            Exception: what ``serving`` raised, but for AbortError.
        """
        serving.add_done_callback(lambda _: self._messages.put_nowait(None))
        try:
            while (message := await self._messages.get()) is not None:
                yield message
        finally:
            for callback in self._callbacks:
                callback(self)
            serving.cancel()
            await asyncio.wait({serving})
        if (error := serving.exception()) and not isinstance(error, grpc.aio.AbortError):
            raise error


def _seconds(text: str | bytes | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if seconds > 0 and math.isfinite(seconds) else None
