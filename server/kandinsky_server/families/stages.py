"""Loaded stages: their networks, schedulers, tokenizers, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.network_spec import NetworkSpec
from kandinsky_server.families.sizes import Size
from kandinsky_server.families.stage_spec import StageSpec

PRIOR, TEXT_ENCODER, IMAGE_ENCODER = "prior", "text_encoder", "image_encoder"
"""The networks of a prior stage."""

UNET, MOVQ_DECODER, MOVQ_ENCODER, HINT_ENCODER = "unet", "movq_decoder", "movq_encoder", "hint_encoder"
"""The parts of a decoder stage that are networks."""


@dataclass(frozen=True)
class Stage:
    """One loaded checkpoint. The first of its ``noise_schedulers``, which are by name, is the checkpoint's own."""

    spec: StageSpec
    source: str
    fingerprint: str
    noise_schedulers: Mapping[str, NoiseScheduler]
    dtype: torch.dtype
    device: torch.device

    @property
    def name(self) -> str:
        """The stage's name in its family."""
        return self.spec.name

    def parts(self, asked: Sequence[Size] = (), movq: bool = True) -> list[NetworkSpec]:
        """All its networks, its own first; those of its MoVQ only with ``movq``, since stages may share one.

        Raises:
            CheckpointError: it makes no pictures of a size that is asked for.
        """
        return self.spec.parts(self, asked, movq)

    def noise_scheduler(self, name: str | None = None) -> NoiseScheduler:
        """The one of this name; without a name, the checkpoint's own."""
        return self.noise_schedulers[name or next(iter(self.noise_schedulers))]


@dataclass(frozen=True)
class PriorStage(Stage):
    """Text, or text and an image, to CLIP image embeddings."""

    prior: Any
    text_encoder: Any
    image_encoder: Any
    tokenizer: Any
    image_processor: Any

    @property
    def networks(self) -> tuple[Any, ...]:
        """Its modules."""
        return self.prior, self.text_encoder, self.image_encoder

    @property
    def native_area(self) -> int:
        """As `BatchKey.area`: embeddings have but one size."""
        return 1

    @property
    def embedding_width(self) -> int:
        """Floats of an embedding: 1280 for Kandinsky 2.2."""
        return int(self.prior.config.embedding_dim)

    @property
    def token_count(self) -> int:
        """The tokenizer's window, start and end marks included."""
        return int(self.tokenizer.model_max_length)

    @property
    def clip_size(self) -> int:
        """Width and height of what the image encoder takes, in pixels."""
        return int(self.image_encoder.config.image_size)

    def key(self, network: str) -> BatchKey:
        """The batch key of a network of this stage, by the shape of one row of its first input."""
        shapes = {
            PRIOR: (self.embedding_width,),
            TEXT_ENCODER: (self.token_count,),
            IMAGE_ENCODER: (3, self.clip_size, self.clip_size),
        }
        return BatchKey(network, shapes[network])


@dataclass(frozen=True)
class DecoderStage(Stage):
    """Embeddings to pixels, whatever a UNet is given besides."""

    unet: Any
    movq: Any
    movq_key: str
    """Equal for stages that share one MoVQ."""
    movq_suffix: str = ""
    """Tells the networks of one MoVQ from those of another."""

    @property
    def networks(self) -> tuple[Any, ...]:
        """Its modules; stages may share a MoVQ."""
        return self.unet, self.movq

    @property
    def native_area(self) -> int:
        """As `BatchKey.area`: latents of the native size."""
        return (self.native_size // self.factor) ** 2

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

    def sizes(self, asked: Sequence[Size]) -> tuple[Size, ...]:
        """The sizes to prepare its networks for: those asked for, else its native one.

        Raises:
            CheckpointError: it makes no pictures of such a size.
        """
        step = self.size_step
        for size in asked:
            if size.height % step or size.width % step:
                raise CheckpointError(
                    f"stage {self.name}: heights and widths are multiples of {step}, and sizes has {size}"
                )
        return tuple(dict.fromkeys(asked)) or (Size(self.native_size, self.native_size),)

    @property
    def latent_channels(self) -> int:
        """Channels of the latents."""
        return int(self.movq.config.latent_channels)

    @property
    def embedding_width(self) -> int:
        """Floats of the embeddings it takes."""
        projection = self.unet.encoder_hid_proj
        return int(projection.image_embeds.in_features)

    def network(self, part: str) -> str:
        """The name of the network that is this part of the stage. The UNet's is the stage's own."""
        if part == UNET:
            return self.name
        return part if part == HINT_ENCODER else part + self.movq_suffix

    def key(self, part: str, width: int, height: int) -> BatchKey:
        """The batch key of a part for pictures of this size in pixels, by the shape of one row of its first input."""
        latents = (height // self.factor, width // self.factor)
        shape = latents if part in (UNET, MOVQ_DECODER) else (3, height, width)
        return BatchKey(self.network(part), shape)
