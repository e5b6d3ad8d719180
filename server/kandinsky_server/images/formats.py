"""What each output format can hold."""

from __future__ import annotations

MAX_SIDE: dict[str, int | None] = {
    "PNG": 2**31 - 1,
    "JPEG": 65_500,
    "WEBP": 16_383,
    "RAW_RGB8": None,
    "RAW_RGB_F32": None,
}
"""Pixels of the longer side, by the names of ``codecs.encode_image``; None for any.

Sources: PNG specification 11.2.2; JPEG_MAX_DIMENSION of libjpeg-turbo, below the format's own 65,535; WebP container
specification.
"""


def misfit(kind: str, width: int, height: int) -> str | None:
    """Why a format cannot hold an image of this size, and what to do; None when it can."""
    most = MAX_SIDE[kind]
    if most is None or max(width, height) <= most:
        return None
    return (
        f"{kind} holds at most {most} pixels a side and the image would be {width}x{height}; ask for PNG, or for shorter "
        "sides"
    )
