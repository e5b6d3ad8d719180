"""Image files that are made to break whoever decodes them."""

import io
import struct
import zlib

from PIL import Image


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that claims to be enormous; only its header is true."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webp_bomb(width: int, height: int) -> bytes:
    """A WebP of thirty bytes: nothing but a header that claims such a canvas."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides


def slow_jpeg(side: int, scans: int) -> bytes:
    """A progressive JPEG of so many scans more than its encoder made; each, of some 30 bytes, covers the whole."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 100).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + scans * last + whole[-2:]


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk, right before its end."""
    return png[:-12] + chunk(kind, data) + png[-12:]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
