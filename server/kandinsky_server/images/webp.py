"""The size of a WebP, told from its header as Pillow tells those of PNG and JPEG: nothing is allocated for it."""

from __future__ import annotations

HEADER_BYTES = 30


def canvas_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None when the bytes do not begin as a WebP does.

    The three kinds of header: https://developers.google.com/speed/webp/docs/riff_container
    """
    header = data[:HEADER_BYTES]
    if len(header) < HEADER_BYTES or header[:4] != b"RIFF" or header[8:12] != b"WEBP":
        return None
    match header[12:16]:
        case b"VP8X":
            return _integer(header[24:27]) + 1, _integer(header[27:30]) + 1
        case b"VP8L":
            bits = _integer(header[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            return _integer(header[26:28]) & 0x3FFF, _integer(header[28:30]) & 0x3FFF
    return None


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "little")
