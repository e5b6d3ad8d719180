"""Encoded images to pictures and back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from kandinsky_server.diffusion.pixels import to_bytes
from kandinsky_server.images.bare import without_metadata
from kandinsky_server.images.effort import excess, exif_excess
from kandinsky_server.images.webp import canvas_size

RECEIPT_KEY = "kandinsky"
FORMATS = ("PNG", "JPEG", "WEBP")

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation."""

# Pillow's own limit warns, which is no answer to a client; ours is exact, and checked before decoding.
Image.MAX_IMAGE_PIXELS = None


class ImageError(Exception):
    """Bytes that are not an acceptable image; the message says why."""


def decode_image(data: bytes, expected: str | None, max_pixels: int) -> Image.Image:
    """Encoded bytes to RGB, turned upright by its EXIF, as diffusers' load_image does. Other metadata stops no picture.

    ``expected`` is one of ``FORMATS``, or None to take any of them. The pixel count, and what else would make it take
    long, are checked before decoding.

    Raises:
        ImageError: when the bytes are no image, cut short, animated, too large, too much work or of another format.
    """
    try:
        return upright_rgb(_load(data, expected, max_pixels))
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(
            "the image takes too much memory to decode; save it as a plain PNG or JPEG"
        ) from error
    except Exception as error:
        # Pillow's parsers raise whatever they stumble over: an IndexError, say, at an empty colour profile.
        bare = without_metadata(data)
        if len(bare) < len(data):
            return decode_image(bare, expected, max_pixels)
        if isinstance(error, UnidentifiedImageError):
            raise ImageError(f"the bytes are no {expected or 'PNG, JPEG or WebP'} image") from error
        raise ImageError(f"the image cannot be decoded: {error}") from error


def _load(data: bytes, expected: str | None, max_pixels: int) -> Image.Image:
    # Pillow makes a WebP's decoder, and with it two canvases, as soon as it opens the file.
    if canvas := canvas_size(data):
        _check_size(*canvas, max_pixels)
    if excess(data):
        data = without_metadata(data)
        _refuse(excess(data))
    image = Image.open(io.BytesIO(data), formats=FORMATS if expected is None else (expected,))
    _check_size(image.width, image.height, max_pixels)
    # A phone's JPEG may carry further pictures behind its own, such as a depth map or a preview.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise ImageError("the image is animated; send a single frame")
    image.load()
    _refuse(exif_excess(_exif_size(image)))
    return image


def is_transparent(data: bytes) -> bool:
    """Whether an image that `decode_image` took has pixels that are not opaque."""
    image = Image.open(io.BytesIO(without_metadata(data)), formats=FORMATS)
    if not image.has_transparency_data:
        return False
    return bool((np.asarray(image.convert("RGBA").getchannel("A")) < 255).any())


def upright_rgb(image: Image.Image) -> Image.Image:
    """RGB, with the EXIF orientation applied; 16-bit grey (depth maps) keeps its upper 8 bits."""
    turn = UPRIGHT.get(_orientation(image))
    upright = image if turn is None else image.transpose(turn)
    if upright.mode.startswith("I"):
        grey = np.asarray(upright).astype(np.uint32) >> 8
        upright = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    return upright.convert("RGB")


def _exif_size(image: Image.Image) -> int:
    """Bytes of EXIF; some tools write them into a PNG's text, as hexadecimal digits."""
    return len(image.info.get("exif", b"")) + len(image.info.get("Raw profile type exif", "")) // 2


def _refuse(complaint: str | None) -> None:
    if complaint:
        raise ImageError(complaint)


def _orientation(image: Image.Image) -> Any:
    """The EXIF orientation, 1 for none. Broken EXIF says nothing, and spoils no picture that can be seen."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1


def raw_image(data: bytes, width: int, height: int, max_pixels: int) -> Image.Image:
    """Raw 8-bit RGB to a picture.

    Raises:
        ImageError: when the number of bytes does not fit, or there are too many pixels.
    """
    if width < 1 or height < 1:
        raise ImageError("RAW_RGB8 needs width_px and height_px, both at least 1")
    if width * height > max_pixels:
        raise ImageError(
            f"the image has {width * height} pixels and may have {max_pixels}; send a smaller one"
        )
    if len(data) != width * height * 3:
        raise ImageError(f"RAW_RGB8 of {width}x{height} takes {width * height * 3} bytes, not {len(data)}")
    return Image.frombytes("RGB", (width, height), data)


def encode_image(pixels: NDArray[np.float32], kind: str, quality: int, receipt: str | None = None) -> bytes:
    """Pixels in [0, 1], [H, W, 3], to bytes.

    ``kind`` is one of ``FORMATS``, ``RAW_RGB8`` or ``RAW_RGB_F32``; ``quality`` (1 to 100) is for JPEG and WEBP;
    ``receipt`` goes into a PNG text chunk.
    """
    if kind == "RAW_RGB_F32":
        return np.ascontiguousarray(pixels, dtype="<f4").tobytes()
    eight_bit = to_bytes(pixels)
    if kind == "RAW_RGB8":
        return eight_bit.tobytes()
    buffer = io.BytesIO()
    image = Image.fromarray(eight_bit)
    if kind == "PNG":
        info = PngInfo()
        if receipt is not None:
            info.add_itxt(RECEIPT_KEY, receipt)
        # Level 1 is several times faster than the default and hardly larger on noise-like pictures.
        image.save(buffer, "PNG", pnginfo=info, compress_level=1)
    else:
        image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def encode_preview(pixels: NDArray[np.float32], kind: str, max_side: int) -> tuple[bytes, int, int]:
    """A small lossy picture: bytes, width and height in pixels; never enlarged."""
    image = Image.fromarray(to_bytes(pixels))
    image.thumbnail((max_side, max_side))
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=75)
    return buffer.getvalue(), image.width, image.height


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            f"the image has {width}x{height} pixels and may have {max_pixels} in all; send a smaller one"
        )
