"""The input shapes of each network: what backends warm up with and parity is measured on."""

from __future__ import annotations

import torch
from kandinsky_backends.base import BatchShape

from kandinsky_server.families.kandinsky22.networks import takes_hint
from kandinsky_server.families.sizes import Size
from kandinsky_server.families.stages import DecoderStage, PriorStage

Sample = tuple[tuple[int, ...], torch.dtype]


def prior_shape(stage: PriorStage, rows: int) -> BatchShape:
    """Inputs of the prior transformer."""
    width, tokens = stage.embedding_width, stage.token_count
    hidden = int(stage.text_encoder.config.hidden_size)
    return _shape(
        rows,
        ((width,), stage.dtype),
        ((), torch.float32),
        ((width,), stage.dtype),
        ((tokens, hidden), stage.dtype),
        ((tokens,), torch.bool),
    )


def unet_shape(stage: DecoderStage, size: Size, rows: int) -> BatchShape:
    """Inputs of a decoder stage's UNet, for pictures of ``size``."""
    sides = latent_sides(stage, size)
    channels = 2 * stage.latent_channels + 1 if stage.spec.inpaints else stage.latent_channels
    inputs: list[Sample] = [
        ((channels, *sides), stage.dtype),
        ((), torch.float32),
        ((stage.embedding_width,), stage.dtype),
    ]
    if takes_hint(stage.unet):
        inputs.append(((4, *sides), stage.dtype))
    return _shape(rows, *inputs)


def movq_decoder_shape(stage: DecoderStage, size: Size, rows: int) -> BatchShape:
    """Latents of one image a row."""
    return _shape(rows, ((stage.latent_channels, *latent_sides(stage, size)), stage.dtype))


def pixels_shape(stage: DecoderStage, size: Size, rows: int) -> BatchShape:
    """Pixels of one image or hint a row."""
    return _shape(rows, ((3, size.height, size.width), stage.dtype))


def latent_sides(stage: DecoderStage, size: Size) -> tuple[int, int]:
    """Height and width of the latents of a picture."""
    return size.height // stage.factor, size.width // stage.factor


def text_encoder_shape(stage: PriorStage, rows: int) -> BatchShape:
    """Token ids of one prompt a row."""
    return _shape(rows, ((stage.token_count,), torch.int64))


def image_encoder_shape(stage: PriorStage, rows: int) -> BatchShape:
    """Processed pixels of one image a row."""
    side = stage.clip_size
    return _shape(rows, ((3, side, side), stage.dtype))


def _shape(rows: int, *inputs: Sample) -> BatchShape:
    return BatchShape(rows, tuple(sample for sample, _ in inputs), tuple(dtype for _, dtype in inputs))
