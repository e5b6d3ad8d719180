"""PIL images as PNG: the values that they show, and nothing else that they carry."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import PIL.ImageOps

_AS_THEY_ARE = {"1", "L", "LA", "P", "RGB", "RGBA"}
_OVER_OTHERS = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}  # by way of a mode that PNG or RGB can follow


def png(image: PIL.Image.Image, name: str) -> bytes:
    """Encodes an image, turned upright by its EXIF orientation, without colour profile and other metadata.

    16-bit grey (I;16 and its kin, or I from a 16-bit PNG) stays so; the server takes its upper 8 bits.

    Raises:
        ValueError: Its mode says not which value is white (I, F), or cannot be shown as RGB.
    """
    buffer = io.BytesIO()
    # Level 1: lossless either way, and the wire is faster than zlib. A profile might be larger than PNG readers take.
    _writable(_upright(image), name, image.format).save(buffer, "PNG", compress_level=1, icc_profile=None)
    return buffer.getvalue()


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    try:
        return PIL.ImageOps.exif_transpose(image)
    except Exception:  # whatever Pillow stumbles over in broken EXIF, the picture is there
        return image


def _writable(image: PIL.Image.Image, name: str, source: str | None) -> PIL.Image.Image:
    if image.mode in _AS_THEY_ARE:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and source == "PNG"):
        return PIL.Image.fromarray(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        raise ValueError(
            f"{name}: a PIL image of mode {image.mode} says not which value is white (its values go from "
            f"{values.min():g} to {values.max():g}). Scale it to 0 to 255 and 8 bits first: "
            "PIL.Image.fromarray((np.asarray(image) / WHITE * 255).clip(0, 255).astype('uint8')), where WHITE is 1, "
            "255, 65535 or what it is for your image"
        )
    try:
        via = _OVER_OTHERS.get(image.mode)
        return image.convert(via) if via else image.convert("RGB")
    except ValueError as error:
        raise ValueError(f"{name}: convert the image of mode {image.mode} to RGB first ({error})") from error
