"""Pictures from bytes and back."""

import io
import random
from typing import Any

import numpy as np
import pytest
from kandinsky_server.images.codecs import (
    ImageError,
    decode_image,
    encode_image,
    encode_preview,
    raw_image,
)
from kandinsky_server.images.formats import MAX_SIDE
from PIL import Image, ImageOps, _webp
from PIL.PngImagePlugin import PngImageFile

from tests.support.hostile import webp_bomb, with_chunk

MANY = 1_000_000


def picture(width: int = 12, height: int = 8) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def floats(width: int = 12, height: int = 8) -> np.ndarray:
    return np.random.default_rng(1).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("expected", ["PNG", None])
def test_png_is_decoded_exactly(expected: str | None) -> None:
    found = decode_image(encoded(picture()), expected, MANY)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(picture()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_are_decoded(kind: str) -> None:
    assert decode_image(encoded(picture(), kind), None, MANY).size == (12, 8)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    source = Image.new("I;16", (4, 4), 0x8000) if mode == "I;16" else picture(4, 4).convert(mode)
    found = decode_image(encoded(source), None, MANY)
    assert (found.mode, found.size) == ("RGB", (4, 4))
    if mode == "I;16":
        assert found.getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("value", range(1, 9))
def test_exif_orientation_is_applied(kind: str, value: int) -> None:
    """Exactly as Pillow applies it."""
    data = encoded(picture(), kind, exif=orientation(value))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(np.asarray(decode_image(data, None, MANY)), np.asarray(upright))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_broken_exif_spoils_no_picture(kind: str) -> None:
    """Wherever it was cut, and when it is no EXIF at all."""
    whole = orientation(3).tobytes()
    for exif in [*(whole[:end] for end in range(8, len(whole))), whole[:6] + b"II*\0", b"nonsense"]:
        assert decode_image(encoded(picture(), kind, exif=exif), None, MANY).size == (12, 8)


@pytest.mark.parametrize(
    ("data", "expected", "limit", "says"),
    [
        (b"", None, MANY, "no PNG, JPEG or WebP"),
        (b"not an image", None, MANY, "no PNG, JPEG or WebP"),
        (encoded(picture())[:60], None, MANY, "cannot be decoded"),
        (encoded(picture(), "GIF"), None, MANY, "no PNG, JPEG or WebP"),
        (encoded(picture(), "JPEG"), "PNG", MANY, "no PNG image"),
        (encoded(picture()), None, 12 * 8 - 1, "12x8 pixels and may have 95"),
        (
            encoded(picture(), save_all=True, append_images=[Image.new("RGB", (12, 8))]),
            None,
            MANY,
            "animated",
        ),
        (with_chunk(encoded(picture()), b"tRNS", b""), None, MANY, "cannot be decoded"),
    ],
    ids=["empty", "text", "cut", "gif", "other", "large", "animated", "transparency"],
)
def test_bad_bytes_are_refused(data: bytes, expected: str | None, limit: int, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        decode_image(data, expected, limit)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    huge = encoded(Image.new("1", (14_000, 14_000)))
    with pytest.raises(ImageError, match="smaller"):
        decode_image(huge, None, MANY)


def test_a_webp_bomb_is_refused_before_its_canvas_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's decoder allocates the canvas when it opens the file, not when it decodes."""
    opened: list[Any] = []
    monkeypatch.setattr(_webp, "WebPAnimDecoder", opened.append)
    bombs = [webp_bomb(16_383, 16_383)]
    bombs += [encoded(Image.new("RGB", (1200, 900)), "WEBP", lossless=lossless) for lossless in (True, False)]
    for bomb, says in zip(bombs, ["16383x16383", "1200x900", "1200x900"], strict=True):
        with pytest.raises(ImageError, match=f"the image has {says} pixels and may have {MANY} in all"):
            decode_image(bomb, None, MANY)
    assert not opened


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_spoilt_files_are_pictures_or_refused() -> None:
    """Cut short, bytes changed, or both: nothing but our own error comes out."""
    draw = random.Random(0)
    files = [encoded(picture(), kind, exif=orientation(6)) for kind in ("PNG", "JPEG", "WEBP")]
    files += [encoded(picture().convert(mode)) for mode in ("P", "LA", "1")]
    refused = 0
    for _ in range(3000):
        data = bytearray(draw.choice(files))
        for _ in range(draw.randrange(5)):
            data[draw.randrange(len(data))] = draw.choice((0, 255, draw.randrange(256)))
        if draw.random() < 0.5:
            del data[draw.randrange(len(data)) :]
        try:
            assert decode_image(bytes(data), None, MANY).mode == "RGB"
        except ImageError:
            refused += 1
    assert 1000 < refused < 3000


def test_raw_pixels_are_taken_as_they_are() -> None:
    found = raw_image(picture().tobytes(), 12, 8, MANY)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(picture()))


@pytest.mark.parametrize(
    ("size", "width", "height", "limit", "says"),
    [(288, 0, 8, MANY, "at least 1"), (287, 12, 8, MANY, "288 bytes, not 287"), (288, 12, 8, 95, "smaller")],
)
def test_bad_raw_pixels_are_refused(size: int, width: int, height: int, limit: int, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        raw_image(bytes(size), width, height, limit)


def test_floats_leave_unrounded() -> None:
    data = encode_image(floats(), "RAW_RGB_F32", 90)
    np.testing.assert_array_equal(np.frombuffer(data, "<f4").reshape(8, 12, 3), floats())


@pytest.mark.parametrize("kind", ["PNG", "RAW_RGB8"])
def test_eight_bits_are_rounded_not_cut(kind: str) -> None:
    data = encode_image(floats(), kind, 90)
    found = np.frombuffer(data, np.uint8) if kind == "RAW_RGB8" else np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(found.reshape(8, 12, 3), (floats() * 255).round())


def test_receipt_travels_in_the_png() -> None:
    image = Image.open(io.BytesIO(encode_image(floats(), "PNG", 90, "ünï")))
    assert isinstance(image, PngImageFile)
    assert image.text["kandinsky"] == "ünï"


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_quality_costs_bytes(kind: str) -> None:
    small, large = (len(encode_image(floats(64, 64), kind, quality)) for quality in (10, 95))
    assert small < large


@pytest.mark.parametrize("kind", [kind for kind, most in MAX_SIDE.items() if most and most < MANY])
def test_a_format_holds_as_much_as_the_table_says_and_no_more(kind: str) -> None:
    most = MAX_SIDE[kind]
    assert most is not None
    for shape in ((most, 8), (8, most)):
        assert encode_image(np.zeros((*shape, 3), np.float32), kind, 90)
        with pytest.raises((OSError, ValueError)):
            encode_image(np.zeros((shape[0] + 1, shape[1] + 1, 3), np.float32), kind, 90)


@pytest.mark.parametrize(("side", "size"), [(16, (16, 8)), (1024, (64, 32))])
def test_previews_shrink_and_never_grow(side: int, size: tuple[int, int]) -> None:
    data, width, height = encode_preview(floats(64, 32), "JPEG", side)
    assert (width, height) == Image.open(io.BytesIO(data)).size == size


@pytest.mark.parametrize("expected", ["JPEG", None])
def test_a_phones_jpeg_is_the_first_of_its_pictures(expected: str | None) -> None:
    red, blue = (Image.new("RGB", (32, 16), color) for color in ("red", "blue"))
    buffer = io.BytesIO()
    red.save(buffer, "MPO", save_all=True, append_images=[blue])
    image = decode_image(buffer.getvalue(), expected, 10_000)
    assert image.size == (32, 16)
    assert image.getpixel((8, 8)) == pytest.approx((255, 0, 0), abs=3)
