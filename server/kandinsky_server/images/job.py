"""One picture's way from bytes to what the networks take: what the worker processes do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from PIL import Image

from kandinsky_server.diffusion import pixels
from kandinsky_server.diffusion.pixels import Bytes
from kandinsky_server.images import codecs
from kandinsky_server.images.codecs import ImageError

MAX_ASPECT = 100
"""How many times longer than the other a side may be: CLIP's processor scales the short side up to its own size."""

RAW = "RAW_RGB8"

WHITE = 128
"""Where a mask's white begins, which is repainted."""

Use = Literal["start", "mask", "hint"]

FITTERS: dict[Use, Callable[[Image.Image, int, int], Bytes]] = {
    "start": pixels.fit_start,
    "mask": pixels.fit_mask,
    "hint": pixels.fit_hint,
}


@dataclass(frozen=True)
class Fit:
    """The size in pixels that a picture is shrunk to, and what for, which says how."""

    use: Use
    width: int
    height: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result: [H, W, 3], or [H, W] for a mask."""
        return (self.height, self.width) if self.use == "mask" else (self.height, self.width, 3)


@dataclass(frozen=True)
class Job:
    """``expected`` is one of `codecs.FORMATS`, ``RAW``, or None for any of the formats.

    ``width`` and ``height`` are what the client said, 0 for nothing. Without ``fit`` the picture keeps its size.
    """

    expected: str | None
    width: int
    height: int
    max_pixels: int
    fit: Fit | None

    def run(self, data: bytes) -> Bytes:
        """The picture, RGB [H, W, 3], or what ``fit`` makes of it.

        Raises:
            ImageError: the bytes are no image of the format, cut short, animated, too large, too narrow or too much work.
        """
        image = self._open(data)
        if max(image.size) > MAX_ASPECT * min(image.size):
            raise ImageError(
                f"the image is {image.width}x{image.height}; no side may be over {MAX_ASPECT} times longer than the other"
            )
        if self.fit is None:
            return np.asarray(image)
        if self.fit.use == "mask" and self.expected != RAW:
            _check_mask(image, data)
        return FITTERS[self.fit.use](image, self.fit.width, self.fit.height)

    def _open(self, data: bytes) -> Image.Image:
        if self.expected == RAW:
            return codecs.raw_image(data, self.width, self.height, self.max_pixels)
        image = codecs.decode_image(data, self.expected, self.max_pixels)
        if (self.width or image.width, self.height or image.height) != image.size:
            raise ImageError(
                f"width_px and height_px say {self.width}x{self.height} and the image is "
                f"{image.width}x{image.height}; leave them unset or send the image's own"
            )
        return image

    @property
    def max_bytes(self) -> int:
        """Of the result."""
        return prod(self.fit.shape) if self.fit is not None else 3 * self.max_pixels

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a result may have this shape."""
        if self.fit is not None:
            return shape == self.fit.shape
        return len(shape) == 3 and shape[2] == 3 and 0 < shape[0] * shape[1] <= self.max_pixels


def _check_mask(mask: Image.Image, data: bytes) -> None:
    """Refuses a mask that is in the alpha channel: programs differ in whether transparent means to keep or to repaint."""
    white = np.asarray(mask.convert("L")) >= WHITE
    if (white.all() or not white.any()) and codecs.is_transparent(data):
        raise ImageError(
            "the mask's colours are all on one side of grey and it has an alpha channel, which does not count: "
            "draw the mask in black (kept) and white (repainted), without alpha"
        )
