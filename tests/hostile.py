"""Image files that are made to break whoever decodes them."""

import struct
import zlib


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that claims to be enormous; only its header is true."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webp_bomb(width: int, height: int) -> bytes:
    """A WebP of thirty bytes: nothing but a header that claims such a canvas."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk, right before its end."""
    return png[:-12] + chunk(kind, data) + png[-12:]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
