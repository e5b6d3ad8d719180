"""Sending to clients that may not read: how long a message waits for them, and how a call ends that they leave unread."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message

from kandinsky_server.errors import NotRead
from kandinsky_server.rpc import connection

LAST_WORDS_SECONDS = 1.0
"""How long a client has to take the rest of a call that has ended, before its connection may be closed."""

UNREAD_CALLS = 4
"""Calls of one connection that may stay ended and unread while others are served on it; gRPC holds a message of each."""

log = logging.getLogger(__name__)


class Delivery:
    """Writes messages, each of which a client must take within ``timeout`` seconds; belongs to the event loop.

    A stream holds one message that its client has no window for, and its end waits behind that. gRPC for Python cannot
    reset a stream, so a connection is closed when a call on it has ended, stays unread, and no other is served there.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._served: Counter[str] = Counter()
        self._unread: Counter[str] = Counter()
        self._sending: dict[Any, asyncio.Future[None]] = {}

    @contextmanager
    def serving(self, context: Any) -> Iterator[None]:
        """While a call is served its connection stays, whatever else is unread on it."""
        with _counted(self._served, context.peer()):
            yield

    async def write(self, context: Any, message: Message, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        """Sends one message, the first of a call after its initial ``metadata``; waits while the client does not read.

        Raises:
            NotRead: the client did not take it in time. Nothing can be sent after it but what `end` sends.
            asyncio.CancelledError: the client has gone, and the write heard of it before the call is cancelled.
        """
        sending = asyncio.ensure_future(_send(context, message, metadata))
        self._sending[context] = sending
        sending.add_done_callback(lambda _: self._sent(context))
        if not (await asyncio.wait({sending}, timeout=self.timeout))[0]:
            raise NotRead(
                f"a message was left unread for {self.timeout:g} s; read them as they come",
                limit_seconds=f"{self.timeout:g}",
            )
        await _unless_gone(sending)

    def _sent(self, context: Any) -> None:
        sending = self._sending.pop(context)
        # Whoever wrote may have been cancelled, and then nobody asks.
        if not sending.cancelled():
            sending.exception()

    async def end(
        self, context: Any, code: grpc.StatusCode, details: str, trailer: tuple[tuple[str, str | bytes], ...]
    ) -> NoReturn:
        """Ends a call with a status other than OK, behind a message that may still be on its way.

        Raises:
            grpc.aio.AbortError: the status is sent.
            asyncio.CancelledError: the client has gone, or its connection was closed because it does not read.
        """
        if sending := self._sending.get(context):
            await self._taken(context, sending)
        await self._taken(context, asyncio.ensure_future(context.abort(code, details, trailer)))
        raise AssertionError("an aborted call goes on")

    async def _taken(self, context: Any, sending: asyncio.Future[None]) -> None:
        peer = context.peer()
        with _counted(self._unread, peer):
            while not (await asyncio.wait({sending}, timeout=LAST_WORDS_SECONDS))[0]:
                useless = self._unread[peer] > UNREAD_CALLS or not self._served[peer]
                if useless and connection.close(peer):
                    log.warning("closed a connection whose client does not read")
        await _unless_gone(sending)


async def _send(context: Any, message: Message, metadata: tuple[tuple[str, str], ...]) -> None:
    if metadata:
        await context.send_initial_metadata(metadata)
    await context.write(message)


async def _unless_gone(sending: asyncio.Future[None]) -> None:
    try:
        await sending
    except grpc.aio.AbortError:
        raise
    except grpc.aio.BaseError as error:
        raise asyncio.CancelledError from error


@contextmanager
def _counted(counts: Counter[str], key: str) -> Iterator[None]:
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
