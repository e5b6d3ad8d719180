"""Who makes the pictures that are scored: the unmodified diffusers pipelines, or what answers alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from diffusers import (
    KandinskyV22ControlnetPipeline,
    KandinskyV22Img2ImgPipeline,
    KandinskyV22InpaintPipeline,
    KandinskyV22Pipeline,
    KandinskyV22PriorPipeline,
)
from PIL import Image

Embeds = tuple[np.ndarray, np.ndarray]  # positive and negative, both (n, width) float32
Picture = np.ndarray  # (height, width, 3) uint8
PRIOR_STEPS = 25
DECODER_STEPS = 30


class Painter(Protocol):
    """Every call takes one seed per row: row i must come out as if it were asked for alone with its seed."""

    def embed(self, prompts: Sequence[str], negatives: Sequence[str] | None, seeds: Sequence[int]) -> Embeds:
        """The prior: prompts (and negative prompts) to embeddings."""

    def decode(self, embeds: Embeds, seeds: Sequence[int]) -> list[Picture]:
        """Text to image, from the prior's embeddings."""

    def img2img(
        self, embeds: Embeds, starts: Sequence[Picture], strength: float, seeds: Sequence[int]
    ) -> list[Picture]:
        """Each start image changed by `strength`, 0 to 1."""

    def inpaint(
        self, embeds: Embeds, starts: Sequence[Picture], repaint: Sequence[np.ndarray], seeds: Sequence[int]
    ) -> list[Picture]:
        """`repaint` are (height, width) float32 masks, 1 where the picture is to be made anew."""

    def controlnet(self, embeds: Embeds, hints: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Picture]:
        """`hints` are (height, width) depth maps in [0, 1], 1 is near."""


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One for each row, so that no row depends on its neighbours."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


class DiffusersPainter:
    """The library's own pipelines on the CPU in float32, at their default guidance."""

    def __init__(self, checkpoint: Path, batch: int = 16) -> None:
        self.batch = batch
        self.prior = KandinskyV22PriorPipeline.from_pretrained(checkpoint / "prior")
        self.text2img = KandinskyV22Pipeline.from_pretrained(checkpoint / "decoder")
        movq = self.text2img.movq
        self.image2image = KandinskyV22Img2ImgPipeline(self.text2img.unet, self.text2img.scheduler, movq)
        self.inpainting = KandinskyV22InpaintPipeline.from_pretrained(checkpoint / "inpaint", movq=movq)
        self.control = KandinskyV22ControlnetPipeline.from_pretrained(checkpoint / "controlnet", movq=movq)
        self.side = self.text2img.unet.config.sample_size * 8
        for pipeline in (self.prior, self.text2img, self.image2image, self.inpainting, self.control):
            pipeline.set_progress_bar_config(disable=True)

    def embed(self, prompts: Sequence[str], negatives: Sequence[str] | None, seeds: Sequence[int]) -> Embeds:
        """The prior, one prompt at a time."""
        positive, negative = [], []
        for row, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            made = self.prior(
                prompt,
                negative_prompt=negatives[row] if negatives else None,
                num_inference_steps=PRIOR_STEPS,
                generator=torch.Generator().manual_seed(seed),
            )
            positive.append(made.image_embeds.numpy())
            negative.append(made.negative_image_embeds.numpy())
        return np.concatenate(positive), np.concatenate(negative)

    def slices(self, count: int) -> list[slice]:
        """Rows that share a pipeline call."""
        return [slice(start, min(start + self.batch, count)) for start in range(0, count, self.batch)]

    def call(self, pipeline: object, embeds: Embeds, seeds: Sequence[int], **inputs: object) -> list[Picture]:
        """One pipeline call, with what all decoder pipelines take alike."""
        made = pipeline(  # type: ignore[operator]
            image_embeds=torch.from_numpy(embeds[0]),
            negative_image_embeds=torch.from_numpy(embeds[1]),
            height=self.side,
            width=self.side,
            num_inference_steps=DECODER_STEPS,
            generator=generators(seeds),
            output_type="np",
            **inputs,
        )
        return list((made.images * 255).round().astype(np.uint8))

    def decode(self, embeds: Embeds, seeds: Sequence[int]) -> list[Picture]:
        """KandinskyV22Pipeline."""
        pictures = []
        for part in self.slices(len(seeds)):
            pictures += self.call(self.text2img, (embeds[0][part], embeds[1][part]), seeds[part])
        return pictures

    def img2img(
        self, embeds: Embeds, starts: Sequence[Picture], strength: float, seeds: Sequence[int]
    ) -> list[Picture]:
        """KandinskyV22Img2ImgPipeline."""
        pictures = []
        for part in self.slices(len(seeds)):
            images = [Image.fromarray(start) for start in starts[part]]
            rows = (embeds[0][part], embeds[1][part])
            pictures += self.call(self.image2image, rows, seeds[part], image=images, strength=strength)
        return pictures

    def inpaint(
        self, embeds: Embeds, starts: Sequence[Picture], repaint: Sequence[np.ndarray], seeds: Sequence[int]
    ) -> list[Picture]:
        """One at a time: the pipeline uses the first row's mask for all."""
        pictures = []
        for row, (start, mask) in enumerate(zip(starts, repaint, strict=True)):
            rows = (embeds[0][row : row + 1], embeds[1][row : row + 1])
            image = Image.fromarray(start)
            pictures += self.call(
                self.inpainting, rows, seeds[row : row + 1], image=image, mask_image=mask.copy()
            )
        return pictures

    def controlnet(self, embeds: Embeds, hints: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Picture]:
        """KandinskyV22ControlnetPipeline."""
        pictures = []
        for part in self.slices(len(seeds)):
            hint = torch.from_numpy(np.stack(hints[part]))[:, None].expand(-1, 3, -1, -1)
            pictures += self.call(self.control, (embeds[0][part], embeds[1][part]), seeds[part], hint=hint)
        return pictures
