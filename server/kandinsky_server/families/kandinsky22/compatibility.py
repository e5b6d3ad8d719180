"""Whether the parts of a stage, and stages that are served together, belong together: told by their configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.stages import DecoderStage, PriorStage

DECODERS: dict[str, tuple[str, Callable[[int], int]]] = {
    "decoder": ("image", lambda latents: latents),
    "inpaint": ("image", lambda latents: 2 * latents + 1),
    "controlnet": ("image_hint", lambda latents: 2 * latents),
}
"""What tells decoders' UNets apart: ``addition_embed_type``, and ``in_channels`` by the channels of the latents: inpaint
adds the masked latents and the mask, ControlNet the encoded hint."""

HINT_FACTOR = 8
"""Pixels of a latent's side that diffusers' hint encoder is built for."""


def check_prior(stage: PriorStage) -> None:
    """Raises CheckpointError naming the files and values that do not fit each other."""
    _refuse(_prior_misfits(stage))


def _prior_misfits(stage: PriorStage) -> Iterator[str]:
    prior, text, vision = stage.prior.config, stage.text_encoder.config, stage.image_encoder.config
    width = stage.embedding_width
    for name, found in {
        "prior/config.json has embedding_proj_dim": prior.embedding_proj_dim or width,
        "prior/config.json has clip_embed_dim": prior.clip_embed_dim or width,
        "text_encoder/config.json has projection_dim": text.projection_dim,
        "text_encoder/config.json has hidden_size": text.hidden_size,
        "image_encoder/config.json has projection_dim": vision.projection_dim,
    }.items():
        if found != width:
            yield f"{name} {found}, and prior/config.json embedding_dim {width}"
    window = stage.token_count
    for name, found in {
        "prior/config.json has num_embeddings": prior.num_embeddings,
        "text_encoder/config.json has max_position_embeddings": text.max_position_embeddings,
    }.items():
        if found != window:
            told = window if window < 10**9 else "none"
            yield f"{name} {found}, and tokenizer/tokenizer_config.json model_max_length {told}"
    if len(stage.tokenizer) > text.vocab_size:
        yield (
            f"tokenizer/ knows {len(stage.tokenizer)} tokens, and text_encoder/config.json has vocab_size "
            f"{text.vocab_size}"
        )
    height, width_px = _processed_size(stage.image_processor)
    if (height, width_px) != (vision.image_size, vision.image_size):
        yield (
            f"image_processor/preprocessor_config.json makes pictures of {width_px}x{height}, and "
            f"image_encoder/config.json has image_size {vision.image_size}"
        )


def _processed_size(processor: Any) -> tuple[int, int]:
    """Height and width of what comes out, of a picture that is no square."""
    pixels = processor(Image.new("RGB", (48, 40)), return_tensors="np").pixel_values
    return int(pixels.shape[-2]), int(pixels.shape[-1])


def check_decoder(stage: DecoderStage) -> None:
    """Raises CheckpointError naming the values that make it another stage, and the flag that was probably meant."""
    _refuse(_decoder_misfits(stage))


def _decoder_misfits(stage: DecoderStage) -> Iterator[str]:
    unet, latents = stage.unet.config, stage.latent_channels
    if unet.encoder_hid_dim_type != "image_proj":
        yield (
            f"unet/config.json has encoder_hid_dim_type {unet.encoder_hid_dim_type!r}, and Kandinsky 2.2's "
            f"decoders 'image_proj'{_other_family(unet)}"
        )
        return
    addition, channels = DECODERS[stage.name]
    expected = (addition, channels(latents))
    found = (unet.addition_embed_type, unet.in_channels)
    if found != expected:
        meant = [name for name, (kind, count) in DECODERS.items() if (kind, count(latents)) == found]
        yield (
            f"unet/config.json has addition_embed_type {found[0]!r} and in_channels {found[1]}, and the {stage.name} "
            f"stage {expected[0]!r} and {expected[1]}"
            + (f"; this is a checkpoint for --{meant[0]}" if meant else "")
        )
    if unet.out_channels != 2 * latents:
        yield f"unet/config.json has out_channels {unet.out_channels}, and noise and variance need {2 * latents}"
    if stage.spec.takes_hint and stage.factor != HINT_FACTOR:
        yield f"movq/config.json has {stage.factor} pixels a latent, and ControlNet's hints need {HINT_FACTOR}"


def _other_family(unet: Any) -> str:
    if unet.encoder_hid_dim_type == "text_image_proj":
        return ": this is a Kandinsky 2.1 UNet, which this server does not serve"
    return ""


def check_together(prior: PriorStage, decoder: DecoderStage) -> None:
    """Raises CheckpointError when ``decoder`` takes no embeddings of ``prior``'s."""
    if prior.embedding_width != decoder.embedding_width:
        raise CheckpointError(
            f"unet/config.json has encoder_hid_dim {decoder.embedding_width}, and the prior makes embeddings of "
            f"{prior.embedding_width} numbers (embedding_dim in {prior.source!r}): --{decoder.name} and --prior must "
            "be of one model"
        )


def _refuse(misfits: Iterator[str]) -> None:
    if told := list(misfits):
        raise CheckpointError("; ".join(told))
