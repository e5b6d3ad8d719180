"""Pictures without their metadata: what is left of a file when only what is seen counts."""

from __future__ import annotations

import struct

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
SEEN = {b"eXIf", b"tRNS", b"acTL", b"fcTL", b"fdAT"}
"""The ancillary chunks of a PNG that say how it looks: which way is up, what is transparent, whether it moves."""

MOST_PARTS = 50_000
"""A file of more chunks or segments is left as it is: a picture of 32 MiB has some thousand."""

SOI_LENGTH, HEADER = 2, 4
JFIF, EXIF, ADOBE, COMMENT, SCAN = 0xE0, 0xE1, 0xEE, 0xFE, 0xDA
LEAST = {JFIF: 14, EXIF: 2, ADOBE: 14}
"""The segments of a JPEG that say how it looks (colours, which way is up), if they are at least so long."""


def without_metadata(data: bytes) -> bytes:
    """A PNG or JPEG without colour profile, texts and the like; anything else, and what is cut short, as it is."""
    if data.startswith(PNG):
        return _bare_png(data)
    return _bare_jpeg(data) if data.startswith(JPEG) else data


def _bare_png(data: bytes) -> bytes:
    kept, place = [PNG], len(PNG)
    while place + 12 <= len(data) and len(kept) < MOST_PARTS:
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if kind[:1].isupper() or kind in SEEN:
            kept.append(data[place:end])
        place = end
    return data if len(kept) == MOST_PARTS else b"".join(kept)


def _bare_jpeg(data: bytes) -> bytes:
    kept, place = [JPEG], SOI_LENGTH
    while place + HEADER <= len(data) and len(kept) < MOST_PARTS:
        start, marker = data[place], data[place + 1]
        if start != 0xFF or marker == SCAN:
            break
        (length,) = struct.unpack_from(">H", data, place + 2)
        application = 0xE0 <= marker <= 0xEF or marker == COMMENT
        if not application or length >= LEAST.get(marker, len(data)):
            kept.append(data[place : place + 2 + length])
        place += 2 + length
    return b"".join([*kept, data[place:]])
