"""Compressed messages. gRPC would take them apart before it looks at their length, so it is told to leave them."""

from __future__ import annotations

import zlib

from kandinsky_server.errors import MessageTooLong
from kandinsky_server.rpc.wire_format import malformed

GZIP = b"\x1f\x8b"
"""No message begins so: it would be field 3 with a type that there is not."""

ZLIB = 0x78
"""What gRPC calls deflate. A message that begins so has a number as field 15, which no request of the contract has."""

EITHER = zlib.MAX_WBITS | 32


def is_compressed(data: bytes) -> bool:
    """Whether these bytes are compressed: Python is not told of the call's grpc-encoding."""
    return data[:2] == GZIP or (data[:1] == bytes([ZLIB]) and int.from_bytes(data[:2]) % 31 == 0)


def decompressed(data: bytes, most: int) -> bytes:
    """The message, of ``most`` bytes at most; takes time and room for no more than that.

    Raises:
        MessageTooLong: it has more.
        InvalidField: it is cut short, or not compressed after all.
    """
    inflate = zlib.decompressobj(EITHER)
    try:
        message = inflate.decompress(data, most + 1)
    except zlib.error as error:
        raise malformed("it is compressed, and broken") from error
    if len(message) > most:
        raise MessageTooLong(most)
    if not inflate.eof or inflate.unused_data:
        raise malformed("it is compressed, and does not end where it should")
    return message
