"""Messages that are begun and never finished: HTTP/2 by hand, as fast as the server's windows allow."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
INITIAL_WINDOW_SIZE = 4
FRAME_BYTES = 16384
DEFAULT_WINDOW = 65535


class Unfinished:
    """One connection with several calls, each of which has declared a message of ``size`` bytes. A context manager.

    ``sent`` counts bytes of messages; ``ended`` holds what the server ended calls with, trailers as they came. With
    ``again`` another call takes the place of one that was ended.
    """

    def __init__(
        self,
        target: str,
        path: str,
        calls: int,
        size: int,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
    ) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "test"}
        self._headers |= {"content-type": "application/grpc", "te": "trailers", **(headers or {})}
        self._size, self._again = size, again
        self._came = b""
        self._window, self._initial = DEFAULT_WINDOW, DEFAULT_WINDOW
        self._windows: dict[int, int] = {}
        self._next = 1
        self.sent = 0
        self.ended: list[bytes] = []
        self.closed = False
        self._socket.sendall(PREFACE)
        self._frame(SETTINGS, 0, 0, b"")
        for _ in range(calls):
            self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def push(self, most: int = FRAME_BYTES) -> int:
        """Sends up to ``most`` bytes of every message as far as windows allow; returns how many it sent."""
        before = self.sent
        try:
            self._hear()
            for call in list(self._windows):
                count = min(most, FRAME_BYTES, self._window, self._windows.get(call, 0))
                if count > 0:
                    self._frame(DATA, 0, call, bytes(count))
                    self._window -= count
                    self._windows[call] -= count
                    self.sent += count
        except OSError:
            self.closed = True
        return self.sent - before

    def _begin(self) -> None:
        call, self._next = self._next, self._next + 2
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in self._headers.items())
        self._frame(HEADERS, END_HEADERS, call, block)
        self._frame(DATA, 0, call, struct.pack(">BI", 0, self._size))
        self._window -= 5
        self._windows[call] = self._initial - 5

    def _frame(self, kind: int, flags: int, call: int, payload: bytes) -> None:
        head = struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, call)
        self._socket.sendall(head + payload)

    def _hear(self) -> None:
        """Takes note of all that the server has said."""
        while select.select([self._socket], [], [], 0)[0]:
            came = self._socket.recv(1 << 16)
            if not came:
                raise ConnectionError("closed")
            self._came += came
        while len(self._came) >= 9 + int.from_bytes(self._came[:3]):
            size = int.from_bytes(self._came[:3])
            kind, flags, call = self._came[3], self._came[4], int.from_bytes(self._came[5:9])
            payload, self._came = self._came[9 : 9 + size], self._came[9 + size :]
            self._take(kind, flags, call, payload)

    def _take(self, kind: int, flags: int, call: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE and call == 0:
            self._window += int.from_bytes(payload)
        elif kind == WINDOW_UPDATE and call in self._windows:
            self._windows[call] += int.from_bytes(payload)
        elif kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at : at + 6])
                if name == INITIAL_WINDOW_SIZE:
                    self._windows = {k: w + value - self._initial for k, w in self._windows.items()}
                    self._initial = value
            self._frame(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self._frame(PING, ACK, 0, payload)
        elif (kind == RESET or (kind == HEADERS and flags & END_STREAM)) and self._windows.pop(
            call, None
        ) is not None:
            self.ended.append(payload)
            if self._again:
                self._begin()


def push_for(
    connections: Sequence[Unfinished], seconds: float, most_bytes: int, at_once: int = FRAME_BYTES
) -> int:
    """Pushes through all of them by turns, ``at_once`` bytes of each message; returns how many bytes went out."""
    end = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < end and sent < most_bytes:
        more = sum(connection.push(at_once) for connection in connections if not connection.closed)
        sent += more
        if not more:
            time.sleep(0.005)
    return sent


def _text(text: str) -> bytes:
    """A string as HPACK has it, of less than 127 bytes."""
    return bytes([len(text)]) + text.encode()
