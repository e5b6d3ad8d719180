"""InputImage messages to what the networks take of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np
from kandinsky_api.v1 import types_pb2 as pb
from PIL import Image

from kandinsky_server.diffusion.pixels import Bytes, Floats
from kandinsky_server.errors import InvalidImage, Violation
from kandinsky_server.families.stages import PriorStage
from kandinsky_server.flows.requests import ClipImage
from kandinsky_server.images.budget import ByteBudget
from kandinsky_server.images.codecs import ImageError
from kandinsky_server.images.decoder import Decoder
from kandinsky_server.images.decoders import Decoders
from kandinsky_server.images.job import RAW, Fit, Job
from kandinsky_server.images.turns import Turns
from kandinsky_server.telemetry import call as calls

EXPECTED = {
    pb.IMAGE_FORMAT_UNSPECIFIED: None,
    pb.IMAGE_FORMAT_PNG: "PNG",
    pb.IMAGE_FORMAT_JPEG: "JPEG",
    pb.IMAGE_FORMAT_WEBP: "WEBP",
    pb.IMAGE_FORMAT_RAW_RGB8: RAW,
}

T = TypeVar("T")


@dataclass(frozen=True)
class Pictures:
    """Decodes the images of the current call, of up to ``max_pixels``, and keeps only what the networks take of them.

    ``turns`` are turns to take besides those of the decoders.
    """

    max_pixels: int
    decoders: Decoders
    budget: ByteBudget
    turns: Turns | None = None

    async def fitted(self, images: Mapping[str, tuple[pb.InputImage, Fit]]) -> dict[str, Bytes]:
        """Images shrunk to the size that was asked for, by field.

        Raises:
            InvalidImage: the bytes are no image of the format named, cut short, animated, too large, too narrow, too much
                work, or more than may be kept.
            QueueFull, QuotaExceeded: too much is kept already.
        """
        self._take({field: prod(fit.shape) for field, (_, fit) in images.items()})
        return {field: await self._fitted(field, image, fit) for field, (image, fit) in images.items()}

    async def _fitted(self, field: str, message: pb.InputImage, fit: Fit) -> Bytes:
        return await self._decoded(field, lambda decoder: self._decode(decoder, message, fit))

    async def for_clip(self, images: Mapping[str, pb.InputImage], stage: PriorStage) -> dict[str, ClipImage]:
        """Images as the prior's image encoder takes them, by field; raises what `fitted` does."""
        side = stage.clip_size
        self._take(dict.fromkeys(images, 3 * side * side * np.float32().itemsize))
        return {field: await self._for_clip(field, image, stage) for field, image in images.items()}

    async def _for_clip(self, field: str, message: pb.InputImage, stage: PriorStage) -> ClipImage:
        def work(decoder: Decoder) -> ClipImage:
            # The checkpoint's own processor, which is torch's, and so not the worker's; on the whole picture.
            image = Image.fromarray(self._decode(decoder, message, None))
            processed = stage.image_processor(image, return_tensors="np").pixel_values[0]
            values: Floats = np.array(processed, dtype=np.float32, order="C")
            return ClipImage(values, hashlib.sha256(values.data).digest())

        return await self._decoded(field, work)

    def _take(self, amounts: Mapping[str, int]) -> None:
        if amounts:
            self.budget.take(calls.current.get().ticket, sum(amounts.values()), next(iter(amounts)))

    async def _decoded(self, field: str, work: Callable[[Decoder], T]) -> T:
        party = calls.current.get().ticket.holder
        try:
            async with self.turns.turn(party) if self.turns else nullcontext():
                return await self.decoders.run(work, party)
        except ImageError as error:
            raise InvalidImage([Violation(field, str(error))]) from error

    def _decode(self, decoder: Decoder, message: pb.InputImage, fit: Fit | None) -> Bytes:
        if message.format not in EXPECTED:
            raise ImageError("format must be PNG, JPEG, WEBP, RAW_RGB8 or unset")
        expected = EXPECTED[message.format]
        job = Job(expected, message.width_px, message.height_px, self.max_pixels, fit)
        return decoder.decode(job, message.data)
