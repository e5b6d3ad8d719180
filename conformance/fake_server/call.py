"""One call as the fake server saw it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.message import Message

from conformance.rpcs import Method

PREFIX_BYTES = 5
"""Before each gRPC message: one byte that says whether it is compressed, four that say how long it is."""


@dataclass
class Call:
    """What a client sent, and how it left.

    Args:
        method: The RPC.
        metadata: All headers of the request, also those of HTTP/2, whose names begin with a colon.
        content: The bytes of the body.
        arrived: When its headers came, in seconds of the monotonic clock.
        cancelled: Whether the client reset the stream, or closed the connection, before the answer had ended.
        failure: Why the script could not be followed; empty when it could.
    """

    method: Method
    metadata: Mapping[str, str]
    content: bytearray = field(default_factory=bytearray)
    arrived: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    failure: str = ""

    @property
    def request(self) -> Message:
        """The request message."""
        return self.method.request.FromString(self.request_bytes)

    @property
    def request_bytes(self) -> bytes:
        """The serialized request message."""
        return bytes(self.content[PREFIX_BYTES:])
