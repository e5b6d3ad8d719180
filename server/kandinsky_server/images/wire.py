"""What goes between the server and a worker: frames of JSON and bytes.

Nothing is pickled: a worker whose decoder was taken over by a picture must not have the server run anything.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

SIZES = struct.Struct(">IQ")
MAX_HEADER_BYTES = 64 * 1024


def send(peer: socket.socket, header: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Sends one frame; raises OSError when the peer is gone, TimeoutError after the socket's timeout."""
    text = json.dumps(header).encode()
    peer.sendall(SIZES.pack(len(text), len(body)) + text)
    peer.sendall(body)


def receive(
    peer: socket.socket, max_bytes: int, deadline: float | None = None
) -> tuple[dict[str, Any], bytearray]:
    """Receives one frame with a body of at most ``max_bytes``.

    ``deadline`` is in ``time.monotonic()`` seconds.

    Raises:
        EOFError: the peer is gone.
        TimeoutError: the frame was not complete at the deadline.
        ValueError: it is not a frame.
    """
    header_size, body_size = SIZES.unpack(_exactly(peer, SIZES.size, deadline))
    if header_size > MAX_HEADER_BYTES or body_size > max_bytes:
        raise ValueError(f"a frame of {header_size} and {body_size} bytes")
    header = json.loads(_exactly(peer, header_size, deadline))
    if not isinstance(header, dict):
        raise ValueError(f"a header that is a {type(header).__name__}")
    return header, _exactly(peer, body_size, deadline)


def _exactly(peer: socket.socket, size: int, deadline: float | None) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        if deadline is not None:
            # Zero would mean not to wait at all.
            peer.settimeout(max(0.001, deadline - time.monotonic()))
        count = peer.recv_into(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return data
