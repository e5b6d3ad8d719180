"""HTTP/2 by hand, for what no gRPC library would do to a server."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Self

from google.protobuf.message import Message

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
INITIAL_WINDOW_SIZE = 4
CANCEL = 8


class Wire:
    """A connection that has been opened properly. With ``window`` 0 the server can send no message on it."""

    def __init__(self, target: str, window: int = 65535) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._socket.sendall(PREFACE)
        self.send(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """One frame."""
        self._socket.sendall(
            struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
        )

    def ask(self, stream: int, path: str | bytes, request: Message, **more: str | bytes) -> None:
        """Starts a call with its one message; ``stream`` is an odd number, new for each, ``more`` are headers."""
        headers: dict[str, str | bytes] = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
        }
        headers |= {"content-type": "application/grpc", "te": "trailers"}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        # Literals without indexing: neither side has to remember anything.
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
        self.send(HEADERS, END_HEADERS, stream, block)
        message = request.SerializeToString()
        self.send(DATA, END_STREAM, stream, struct.pack(">BI", 0, len(message)) + message)

    def cancel(self, stream: int) -> None:
        self.send(RESET, 0, stream, struct.pack(">I", CANCEL))

    def finish(self) -> None:
        """Nothing more will be sent on the connection; what comes could still be read."""
        self._socket.shutdown(socket.SHUT_WR)

    def ping(self) -> None:
        self.send(PING, 0, 0, b"a ping! ")

    def frames(self) -> Iterator[tuple[int, int, bytes]]:
        """Kind, flags and payload of what comes, until the server closes the connection."""
        with self._socket.makefile("rb") as stream:
            while len(head := stream.read(9)) == 9:
                yield head[3], head[4], stream.read(int.from_bytes(head[:3]))


def _text(text: str | bytes) -> bytes:
    """A string as HPACK has it, of less than 127 bytes."""
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data
