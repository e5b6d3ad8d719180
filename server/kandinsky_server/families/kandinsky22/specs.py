"""The networks of a stage, each with what a backend needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from kandinsky_backends.base import Role

from kandinsky_server.families.kandinsky22 import networks, shapes
from kandinsky_server.families.network_spec import NetworkSpec
from kandinsky_server.families.sizes import Size
from kandinsky_server.families.stages import (
    HINT_ENCODER,
    IMAGE_ENCODER,
    MOVQ_DECODER,
    MOVQ_ENCODER,
    PRIOR,
    TEXT_ENCODER,
    UNET,
    DecoderStage,
    PriorStage,
)


def prior_parts(stage: PriorStage) -> list[NetworkSpec]:
    """The prior transformer and the two CLIP encoders."""
    return [
        NetworkSpec(
            PRIOR,
            Role.PRIOR,
            networks.PriorNetwork(stage.prior).eval(),
            stage.key(PRIOR),
            (partial(shapes.prior_shape, stage),),
            lambda latents: (latents,),
            steps=True,
        ),
        NetworkSpec(
            TEXT_ENCODER,
            Role.TEXT_ENCODER,
            networks.TextEncoderNetwork(stage.text_encoder).eval(),
            stage.key(TEXT_ENCODER),
            (partial(shapes.text_encoder_shape, stage),),
            lambda tokens: ((stage.embedding_width,), (*tokens, int(stage.text_encoder.config.hidden_size))),
        ),
        NetworkSpec(
            IMAGE_ENCODER,
            Role.IMAGE_ENCODER,
            networks.ImageEncoderNetwork(stage.image_encoder).eval(),
            stage.key(IMAGE_ENCODER),
            (partial(shapes.image_encoder_shape, stage),),
            lambda pixels: ((stage.embedding_width,),),
        ),
    ]


def unet_parts(stage: DecoderStage, asked: Sequence[Size] = ()) -> list[NetworkSpec]:
    """The UNet of a decoder stage and, for ControlNet, what encodes its hints, for the sizes that are asked for.

    Raises:
        CheckpointError: the stage makes no pictures of such a size.
    """
    sizes = stage.sizes(asked)
    unet = NetworkSpec(
        stage.network(UNET),
        Role.UNET,
        networks.UnetNetwork(stage.unet).eval(),
        stage.key(UNET, sizes[0].width, sizes[0].height),
        tuple(partial(shapes.unet_shape, stage, size) for size in sizes),
        lambda latents: ((int(stage.unet.config.out_channels), *latents[1:]),),
        steps=True,
    )
    if not networks.takes_hint(stage.unet):
        return [unet]
    hint_encoder = NetworkSpec(
        stage.network(HINT_ENCODER),
        Role.HINT_ENCODER,
        networks.HintEncoderNetwork(stage.unet).eval(),
        stage.key(HINT_ENCODER, sizes[0].width, sizes[0].height),
        tuple(partial(shapes.pixels_shape, stage, size) for size in sizes),
        lambda pixels: ((4, *(side // stage.factor for side in pixels[1:])),),
    )
    return [unet, hint_encoder]


def movq_parts(stage: DecoderStage, asked: Sequence[Size] = ()) -> list[NetworkSpec]:
    """Both halves of the stage's MoVQ.

    Raises:
        CheckpointError: the stage makes no pictures of a size that is asked for.
    """
    sizes = stage.sizes(asked)
    return [
        NetworkSpec(
            stage.network(MOVQ_DECODER),
            Role.MOVQ_DECODER,
            networks.MovqDecoderNetwork(stage.movq).eval(),
            stage.key(MOVQ_DECODER, sizes[0].width, sizes[0].height),
            tuple(partial(shapes.movq_decoder_shape, stage, size) for size in sizes),
            lambda latents: ((3, *(side * stage.factor for side in latents[1:])),),
        ),
        NetworkSpec(
            stage.network(MOVQ_ENCODER),
            Role.MOVQ_ENCODER,
            networks.MovqEncoderNetwork(stage.movq).eval(),
            stage.key(MOVQ_ENCODER, sizes[0].width, sizes[0].height),
            tuple(partial(shapes.pixels_shape, stage, size) for size in sizes),
            lambda pixels: ((stage.latent_channels, *(side // stage.factor for side in pixels[1:])),),
        ),
    ]


def decoder_parts(stage: DecoderStage, asked: Sequence[Size] = (), movq: bool = True) -> list[NetworkSpec]:
    """All networks of a decoder stage, its own first; those of its MoVQ only with ``movq``, since stages may share one.

    Raises:
        CheckpointError: the stage makes no pictures of a size that is asked for.
    """
    return [*unet_parts(stage, asked), *(movq_parts(stage, asked) if movq else [])]
