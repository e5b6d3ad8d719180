"""Loaded stages: their networks, schedulers, tokenizers, and what they say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch


@dataclass(frozen=True)
class Stage:
    """One loaded checkpoint. ``scheduler`` is a template: every trajectory copies it."""

    name: str
    source: str
    fingerprint: str
    scheduler: Any
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class PriorStage(Stage):
    """Text, or text and an image, to CLIP image embeddings."""

    prior: Any
    text_encoder: Any
    image_encoder: Any
    tokenizer: Any
    image_processor: Any

    @property
    def embedding_width(self) -> int:
        """Floats of an embedding: 1280 for Kandinsky 2.2."""
        return int(self.prior.config.embedding_dim)

    @property
    def token_count(self) -> int:
        """The tokenizer's window, start and end marks included."""
        return int(self.tokenizer.model_max_length)


@dataclass(frozen=True)
class DecoderStage(Stage):
    """Embeddings to pixels: ``decoder``, ``inpaint`` and ``controlnet`` alike."""

    unet: Any
    movq: Any
    movq_key: str
    """Equal for stages that share one MoVQ."""

    @cached_property
    def factor(self) -> int:
        """Pixels of a latent's side: 8 for Kandinsky 2.2."""
        return int(2 ** (len(self.movq.config.block_out_channels) - 1))

    @property
    def size_step(self) -> int:
        """Widths and heights are multiples of this: diffusers rounds to the square of the factor."""
        return self.factor**2

    @property
    def native_size(self) -> int:
        """Width and height it was trained for, in pixels, rounded up to the size step."""
        sample_size = self.unet.config.sample_size or 64
        steps = -(-int(sample_size) * self.factor // self.size_step)
        return steps * self.size_step

    @property
    def latent_channels(self) -> int:
        """Channels of the latents."""
        return int(self.movq.config.latent_channels)

    @property
    def embedding_width(self) -> int:
        """Floats of the embeddings it takes."""
        projection = self.unet.encoder_hid_proj
        return int(projection.image_embeds.in_features)
