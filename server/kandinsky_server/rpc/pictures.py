"""InputImage messages to pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
from kandinsky_api.v1 import types_pb2 as pb
from PIL import Image

from kandinsky_server.diffusion import codecs
from kandinsky_server.errors import InvalidImage, Violation

EXPECTED = {
    pb.IMAGE_FORMAT_UNSPECIFIED: None,
    pb.IMAGE_FORMAT_PNG: "PNG",
    pb.IMAGE_FORMAT_JPEG: "JPEG",
    pb.IMAGE_FORMAT_WEBP: "WEBP",
}

WHITE = 128
"""Where a mask's white begins, which is repainted."""

MAX_ASPECT = 100
"""How many times longer than the other a side may be: CLIP's processor scales the short side up to its own size."""


REQUESTS_AT_ONCE = 3
"""One less than the pool has threads, so that results are encoded whatever comes in."""


@dataclass(frozen=True)
class Pictures:
    """Decodes images of up to ``max_pixels`` in ``pool``, those of a few requests at a time; the others wait."""

    max_pixels: int
    pool: Executor
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REQUESTS_AT_ONCE))

    async def read(self, images: Mapping[str, pb.InputImage]) -> dict[str, Image.Image]:
        """The images of one request as RGB, by field.

        Raises:
            InvalidImage: the bytes are no image of the format named, cut short, animated, too large or too narrow.
        """
        if not images:
            return {}
        async with self.turns:
            return {name: await self._read(image, name) for name, image in images.items()}

    async def _read(self, image: pb.InputImage, name: str) -> Image.Image:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.pool, _decode, image, self.max_pixels, name == "mask")
        except codecs.ImageError as error:
            raise InvalidImage([Violation(name, str(error))]) from error


def _decode(message: pb.InputImage, max_pixels: int, is_mask: bool) -> Image.Image:
    image = _open(message, max_pixels)
    if max(image.size) > MAX_ASPECT * min(image.size):
        raise codecs.ImageError(
            f"the image is {image.width}x{image.height}; no side may be over {MAX_ASPECT} times longer than the other"
        )
    if is_mask:
        _check_mask(message, image)
    return image


def _check_mask(message: pb.InputImage, mask: Image.Image) -> None:
    """Refuses a mask that is in the alpha channel: programs differ in whether transparent means to keep or to repaint."""
    white = np.asarray(mask.convert("L")) >= WHITE
    if (
        (white.all() or not white.any())
        and message.format != pb.IMAGE_FORMAT_RAW_RGB8
        and codecs.is_transparent(message.data)
    ):
        raise codecs.ImageError(
            "the mask's colours are all on one side of grey and it has an alpha channel, which does not count: "
            "draw the mask in black (kept) and white (repainted), without alpha"
        )


def _open(message: pb.InputImage, max_pixels: int) -> Image.Image:
    if message.format == pb.IMAGE_FORMAT_RAW_RGB8:
        return codecs.raw_image(message.data, message.width_px, message.height_px, max_pixels)
    if message.format not in EXPECTED:
        raise codecs.ImageError("format must be PNG, JPEG, WEBP, RAW_RGB8 or unset")
    image = codecs.decode_image(message.data, EXPECTED[message.format], max_pixels)
    if (message.width_px or image.width, message.height_px or image.height) != image.size:
        raise codecs.ImageError(
            f"width_px and height_px say {message.width_px}x{message.height_px} and the image is "
            f"{image.width}x{image.height}; leave them unset or send the image's own"
        )
    return image
