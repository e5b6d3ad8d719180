"""What a picture would cost is told from its markers, and no encoder's own work is refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from kandinsky_server.images.codecs import ImageError, decode_image
from kandinsky_server.images.effort import MAX_EXIF_BYTES, MAX_SCANS, excess
from PIL import Image

from tests.support.hostile import slow_jpeg, with_chunk

MANY = 1_000_000


def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def exif(size: int) -> bytes:
    """EXIF of one entry, and so many bytes."""
    head = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x010E, 2, size - 26, 26) + bytes(4)
    return head + b"a" * (size - len(head))


FRAMES: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (64, 48))]}

SOUND = {
    "baseline": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True, quality=100),
    "progressive CMYK": encoded("JPEG", "CMYK", progressive=True),
    "restarts": encoded("JPEG", restart_marker_blocks=1, progressive=True),
    "profile in many segments": encoded("JPEG", icc_profile=bytes(2_000_000)),
    "comment": encoded("JPEG", comment=b"\xff\xda" * 1000),
    "exif": encoded("JPEG", exif=b"Exif\0\0" + exif(60_000)),
    "several pictures": encoded("MPO", **FRAMES),
    "PNG": encoded("PNG"),
    "PNG of many chunks": encoded("PNG", "RGB", (900, 900), compress_level=0),
    "PNG with exif": encoded("PNG", exif=b"Exif\0\0" + exif(60_000)),
    "WebP": encoded("WEBP"),
    "WebP lossless": encoded("WEBP", "RGBA", lossless=True),
    "WebP with extras": encoded("WEBP", exif=b"Exif\0\0" + exif(60_000), icc_profile=bytes(2000)),
}


def png_of(chunks: int, size: int = 0) -> bytes:
    """A PNG whose pixels come after so many chunks of ``size`` bytes of the same kind as theirs."""
    whole = encoded("PNG")
    part = (
        struct.pack(">I", size) + b"IDAT" + bytes(size) + struct.pack(">I", zlib.crc32(b"IDAT" + bytes(size)))
    )
    place = whole.index(b"IDAT") - 4
    return whole[:place] + chunks * part + whole[place:]


def with_texts(count: int) -> bytes:
    """A PNG with texts that inflate to a megabyte each."""
    png, bomb = encoded("PNG"), zlib.compress(bytes(1024 * 1024 - 2))
    for number in range(count):
        png = with_chunk(png, b"iCCP", b"%d\0\0" % number + bomb)
    return png


def webp_of(chunks: int, kind: bytes = b"junk") -> bytes:
    extended = encoded("WEBP", icc_profile=bytes(10))
    return extended + (kind + struct.pack("<I", 0)) * chunks


HOSTILE = {
    "scans": (slow_jpeg(64, MAX_SCANS), "scans; save it as a baseline JPEG"),
    "chunks": (png_of(20_000), "16384 chunks; save it anew"),
    "WebP chunks": (webp_of(5000), "chunks; remove its metadata"),
    "WebP frames": (webp_of(2, b"ANMF"), "animated"),
    "exif of a JPEG in parts": (
        encoded("JPEG")[:2] + 2 * (b"\xff\xe1\xf0\x08Exif\0\0" + exif(61_440)) + encoded("JPEG")[2:],
        "bytes of EXIF and may have",
    ),
    "exif of a PNG": (with_chunk(encoded("PNG"), b"eXIf", exif(MAX_EXIF_BYTES + 1)), "bytes of EXIF"),
    "exif of a WebP": (encoded("WEBP", exif=b"Exif\0\0" + exif(70_000)), "bytes of EXIF"),
    "exif in a text": (
        with_chunk(
            encoded("PNG"),
            b"zTXt",
            b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 8\n" + b"0" * 200_000),
        ),
        "bytes of EXIF",
    ),
}


@pytest.mark.parametrize("case", SOUND)
def test_what_encoders_make_is_decoded(case: str) -> None:
    assert excess(SOUND[case]) is None
    assert decode_image(SOUND[case], None, MANY).mode == "RGB"


EXTRAS = {
    "segments": (encoded("JPEG"), b"\xff\xd8" + b"\xff\xfe\0\2" * 5000 + encoded("JPEG")[2:]),
    "chunks of texts": (encoded("PNG"), with_texts(300)),
}


@pytest.mark.parametrize("case", EXTRAS)
def test_metadata_however_much_stops_no_picture(case: str) -> None:
    plain, laden = EXTRAS[case]
    assert excess(laden)
    assert decode_image(laden, None, MANY).tobytes() == decode_image(plain, None, MANY).tobytes()


@pytest.mark.parametrize("case", HOSTILE)
def test_what_would_take_long_is_refused(case: str) -> None:
    data, says = HOSTILE[case]
    with pytest.raises(ImageError, match=says):
        decode_image(data, None, MANY)


def test_as_many_scans_as_allowed_are_decoded() -> None:
    own = encoded("JPEG", "L", progressive=True).count(b"\xff\xda")
    assert decode_image(slow_jpeg(64, MAX_SCANS - own), None, MANY).size == (64, 64)
