"""What an encoded image would cost to decode, told from its markers: nothing is decompressed."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_SCANS = 32
"""Scans of a JPEG. Encoders make 10, 18 for CMYK; each costs a pass over the whole picture, however few bytes it has."""

MAX_SEGMENTS = 2000
"""Segments of a JPEG, and chunks of a WebP."""

MAX_CHUNKS = 16_384
"""Chunks of a PNG. Encoders put 8 KiB or more into each; the decoder takes them one by one."""

MAX_EXTRA_CHUNKS = 256
"""Chunks of a PNG that hold no pixels, each of which may inflate to a megabyte."""

MAX_EXIF_BYTES = 65_536
"""What one segment of a JPEG holds. Each of its entries may ask for all of it once more."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The next marker; not FF00, which is a byte of a scan, and not the restarts within one."""

_SOI, _SOS, _EOI, _APP1, _TEM = 0xD8, 0xDA, 0xD9, 0xE1, 0x01


def excess(data: bytes) -> str | None:
    """Why an encoded image would take too much work, and what to do; None when it would not, or is no image."""
    if data[:2] == b"\xff\xd8":
        return _of_jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _of_png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _of_webp(data)
    return None


def exif_excess(size: int) -> str | None:
    """Likewise, for EXIF of ``size`` bytes."""
    if size <= MAX_EXIF_BYTES:
        return None
    return f"the image has {size} bytes of EXIF and may have {MAX_EXIF_BYTES}; remove it"


def _of_jpeg(data: bytes) -> str | None:
    scans = exif = 0
    for count, (kind, start, size) in enumerate(_segments(data), 1):
        scans += kind == _SOS
        if kind == _APP1 and data[start : start + 5] == b"Exif\0":
            exif += size
        if scans > MAX_SCANS:
            return f"the image has more than {MAX_SCANS} scans; save it as a baseline JPEG"
        if count > MAX_SEGMENTS:
            return f"the image has more than {MAX_SEGMENTS} segments; remove its metadata"
    return exif_excess(exif)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """A JPEG's segments up to its end: kind, where their content starts, and its bytes.

    What lies between them is skipped, as libjpeg skips it: scans and garbage.
    """
    position = 2
    while marker := _MARKER.search(data, position):
        position, kind = marker.end(), data[marker.start() + 1]
        if kind == _EOI:
            return
        size = 0
        if kind not in (_SOI, _TEM):
            size = max(2, int.from_bytes(data[position : position + 2], "big"))
        yield kind, position + 2, max(0, size - 2)
        position += size


def _of_png(data: bytes) -> str | None:
    position, extra = 8, 0
    for _ in range(MAX_CHUNKS):
        size, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if len(kind) < 4:
            return None
        extra += kind != b"IDAT"
        if extra > MAX_EXTRA_CHUNKS:
            return (
                f"the image has more than {MAX_EXTRA_CHUNKS} chunks besides its pixels; remove its metadata"
            )
        position += 12 + size
    return f"the image has more than {MAX_CHUNKS} chunks; save it anew, with 8 KiB or more in each"


def _of_webp(data: bytes) -> str | None:
    position, frames = 12, 0
    for _ in range(MAX_SEGMENTS):
        kind, size = (
            data[position : position + 4],
            int.from_bytes(data[position + 4 : position + 8], "little"),
        )
        if len(kind) < 4:
            return None
        frames += kind == b"ANMF"
        if frames > 1:
            return "the image is animated; send a single frame"
        position += 8 + size + size % 2
    return f"the image has more than {MAX_SEGMENTS} chunks; remove its metadata"
