"""One client's HTTP/2 connection to the fake server."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Callable, Sequence
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from conformance.fake_server.call import Call
from conformance.fake_server.script import SENDING, Step, kind_of, message_of, trailers_of
from conformance.rpcs import method_of

HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
NO_METHOD = {"code": "UNIMPLEMENTED", "message": "no such method"}


class Connection(asyncio.Protocol):
    """Reads calls and answers each as the script says.

    Args:
        begin: Called with each call once its request is there; returns its steps.
    """

    def __init__(self, begin: Callable[[Call], Sequence[Step]]) -> None:
        self._begin = begin
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._calls: dict[int, Call] = {}
        self._answers: dict[int, asyncio.Task[None]] = {}
        self._window_grew = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends this end's settings."""
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what still runs: the client has gone."""
        for stream in list(self._answers):
            self._leave(stream)

    def data_received(self, data: bytes) -> None:
        """Takes what the client sends; what is no HTTP/2 ends the connection."""
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._flush()
            self._transport.close()
            return
        for event in events:
            self._take(event)
        self._flush()

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=stream, headers=headers):
                metadata = {str(name): str(value) for name, value in headers or ()}
                if method := method_of(metadata[":path"]):
                    self._calls[stream] = Call(method, metadata)
                else:
                    self._h2.send_headers(stream, HEADERS + trailers_of(NO_METHOD), True)
            case DataReceived(stream_id=stream, data=data, flow_controlled_length=length):
                if stream in self._calls:
                    self._calls[stream].content += data or b""
                self._h2.acknowledge_received_data(length or 0, stream)
            case StreamEnded(stream_id=stream) if stream in self._calls:
                steps = self._begin(self._calls[stream])
                self._answers[stream] = asyncio.create_task(
                    self._try_to_answer(stream, self._calls[stream], steps)
                )
            case StreamReset(stream_id=stream) if stream in self._answers:
                self._leave(stream)
            case ConnectionTerminated():
                # The client makes no new calls; h2 would let nothing more be said on those that run.
                self._h2.state_machine.state = ConnectionState.SERVER_OPEN
            case WindowUpdated():
                self._window_grew.set()

    def _leave(self, stream: int) -> None:
        self._calls[stream].cancelled = True
        self._answers.pop(stream).cancel()

    async def _try_to_answer(self, stream: int, call: Call, steps: Sequence[Step]) -> None:
        try:
            await self._answer(stream, call, steps)
        except Exception as error:
            call.failure = repr(error)
            self._transport.abort()

    async def _answer(self, stream: int, call: Call, steps: Sequence[Step]) -> None:
        begun = False
        for step in steps:
            kind = kind_of(step)
            if kind in SENDING and not begun:
                begun = True
                more = step["headers"].items() if kind == "headers" else ()
                self._h2.send_headers(stream, [*HEADERS, *more])
                self._flush()
            match kind:
                case "event" | "message" | "raw":
                    message = message_of(step, call.method.response)
                    await self._send(stream, struct.pack(">BI", 0, len(message)) + message)
                case "part":
                    message = base64.b64decode(step["part"])
                    await self._send(stream, struct.pack(">BI", 0, len(message) + 1) + message)
                case "wait":
                    await asyncio.sleep(step["wait"])
                case "hold":
                    await asyncio.Future()
                case "goaway":
                    self._go_away(stream)
                case "status" | "http" | "reset" | "cut":
                    return self._end(stream, begun, kind, step[kind])
        return self._end(stream, begun, "status", {"code": "OK", "message": ""})

    def _end(self, stream: int, begun: bool, kind: str, how: Any) -> None:
        self._answers.pop(stream)
        match kind:
            case "status":
                trailers = trailers_of(how)
                self._h2.send_headers(stream, trailers if begun else HEADERS + trailers, end_stream=True)
            case "http":
                headers = [(":status", str(how)), ("content-type", "text/plain")]
                self._h2.send_headers(stream, headers, end_stream=True)
            case "reset":
                self._h2.reset_stream(stream, ErrorCodes(how))
        self._flush()
        if kind == "cut":
            self._transport.close()

    async def _send(self, stream: int, data: bytes) -> None:
        while data:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._window_grew.clear()
                await self._window_grew.wait()
                continue
            self._h2.send_data(stream, data[:room])
            data = data[room:]
            self._flush()

    def _go_away(self, stream: int) -> None:
        """By hand: h2 ends its own side of the connection with the frame, and the running call must go on."""
        payload = struct.pack(">II", stream, ErrorCodes.NO_ERROR)
        self._transport.write(struct.pack(">I", len(payload))[1:] + b"\x07\x00" + bytes(4) + payload)

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())
