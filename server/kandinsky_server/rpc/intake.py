"""From a call that has begun to its message: a place, a time limit, a bounded size, a look, and then the parser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from kandinsky_server.engine.admission.allotment import Allotment
from kandinsky_server.errors import InvalidField, MessageTooLong, Violation
from kandinsky_server.rpc import wire_format
from kandinsky_server.rpc.compression import decompressed, is_compressed
from kandinsky_server.rpc.holding import Holding
from kandinsky_server.rpc.limits import Limits
from kandinsky_server.rpc.receiving import Receiving
from kandinsky_server.telemetry.call import Call

Parse = Callable[[bytes], Any]
"""``FromString`` of a message class."""

SHORT_BYTES = 4096
"""Most of one message to health or reflection."""

SHORT_SECONDS = 5.0
"""How long it may take: a sound one comes with the call's first packet."""

PATIENCE_SECONDS = 1.0
SHORT_PATIENCE_SECONDS = 0.05
"""How long a slow message is borne with while others wait."""

INLINE_BYTES = 1024
"""Longer compressed messages are taken apart in a thread: one byte may become a thousand."""

LAST_WORDS_SECONDS = 0.2


class Intake:
    """Reads the messages of all calls. Those of health and reflection, which anybody may call, have places of their own.

    A message that is being read comes as fast as it is sent, and gRPC says nothing of it before it is there. So a
    place stands for the longest one, and there are as many as ``receiving_bytes`` have room for.
    """

    def __init__(
        self, limits: Limits, receiving_bytes: int, receive_seconds: float, default_share: float
    ) -> None:
        places = receiving_bytes // limits.message_bytes
        short = max(1, places // 4)
        self.limits = limits
        self.requests = Receiving(places - short, receive_seconds, PATIENCE_SECONDS)
        self.questions = Receiving(short, SHORT_SECONDS, SHORT_PATIENCE_SECONDS)
        self.holding = Holding(Allotment(receiving_bytes, default_share))
        self._inflating = asyncio.Semaphore()

    async def request(self, call: Call, context: Any, parse: Parse) -> Any:
        """The one message of a request; its bytes are held until ``call.received`` is closed.

        Raises:
            InvalidField: there is none, it is none of the contract, or makes more than any request needs.
            MessageTooLong: it is too long once decompressed.
            ReceivingFull: too much is on its way, or waits to be looked at.
            ReceiveTimedOut: it did not come in time.
        """
        ticket, most = call.ticket, self.limits.message_bytes
        data = await self.requests.receive(ticket.holder, lambda: self._read(context, most))
        if data is None:
            await _ended()
        call.received.enter_context(self.holding.hold(ticket.holder, ticket.share, len(data)))
        wire_format.check(data, _kind(parse), self.limits.bounds)
        return _parsed(parse, data)

    async def question(self, context: Any, parse: Parse) -> Any:
        """The next message of a call to health or reflection; None when there is none. Raises likewise."""
        data = await self.questions.receive(context.peer(), lambda: self._read(context, SHORT_BYTES))
        return None if data is None else _parsed(parse, data)

    async def _read(self, context: Any, most: int) -> bytes | None:
        """The bytes of a message, decompressed; None when the call has ended."""
        data = await context.read()
        if data is grpc.aio.EOF:
            return None
        if len(data) > most:
            raise MessageTooLong(most)
        if not is_compressed(data):
            return bytes(data)
        if len(data) <= INLINE_BYTES:
            return decompressed(data, most)
        async with self._inflating:
            return await asyncio.to_thread(decompressed, data, most)


async def _ended() -> NoReturn:
    """A call without a message: given up, longer than gRPC takes, or at fault. All but the last are soon cancelled."""
    await asyncio.sleep(LAST_WORDS_SECONDS)
    raise InvalidField([Violation("", "the call ended without a message")])


def _kind(parse: Parse) -> Descriptor:
    """What a ``FromString`` makes."""
    return parse.__self__.DESCRIPTOR  # type: ignore[attr-defined, no-any-return]


def _parsed(parse: Parse, data: bytes) -> Any:
    try:
        return parse(data)
    except DecodeError as error:
        raise wire_format.malformed(str(error)) from error
