"""The networks of a stage, each with what a backend needs to know of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from kandinsky_backends.base import BackendUnavailable, BatchShape, NamedNetwork, Role
from torch import nn

from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.checkpoints.source import CheckpointError, Sources, resolve
from kandinsky_server.engine.network import Sample
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.families.kandinsky22 import networks, shapes
from kandinsky_server.families.kandinsky22.sizes import Size
from kandinsky_server.families.kandinsky22.stages import (
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

CHECK_ROWS = 4

MAX_SINGLE_ROWS = 8
"""For networks that are called once a request: enough to share, little enough to fit."""

ShapeOf = Callable[[int], BatchShape]


@dataclass(frozen=True)
class NetworkSpec:
    """A network to prepare; each of ``shapes`` makes an input shape for a number of rows, by picture size.

    ``lane`` is that of the first, which is measured. ``returns`` tells, by one row of its first input, that of each
    of its outputs.

    ``steps``: whether it is called once per denoising step, so that large batches matter.
    """

    name: str
    role: Role
    module: nn.Module
    lane: BatchKey
    shapes: tuple[ShapeOf, ...]
    returns: Callable[[Sample], tuple[Sample, ...]]
    steps: bool = False

    def warm_shapes(self, most: int) -> list[BatchShape]:
        """What it is warmed up with and held to eager on: one row, and the most that batches have.

        Networks that are called once a request are seldom called with more than two. ``most`` is for the first shape;
        of larger pictures there are fewer.
        """
        warm = []
        for shape in self.shapes:
            rows = max(1, min(most, most * _numbers(self.shapes[0]) // _numbers(shape)))
            warm += [shape(1), shape(rows if self.steps else min(rows, 2))]
        return warm


def _numbers(shape: ShapeOf) -> int:
    """How many numbers a row's first input has."""
    return math.prod(shape(1).samples[0])


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
    sizes = sizes_of(stage, asked)
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


def sizes_of(stage: DecoderStage, asked: Sequence[Size]) -> tuple[Size, ...]:
    """The sizes to prepare a stage's networks for: those asked for, else its native one.

    Raises:
        CheckpointError: the stage makes no pictures of such a size.
    """
    step = stage.size_step
    for size in asked:
        if size.height % step or size.width % step:
            raise CheckpointError(
                f"stage {stage.name}: heights and widths are multiples of {step}, and sizes has {size}"
            )
    return tuple(dict.fromkeys(asked)) or (Size(stage.native_size, stage.native_size),)


def movq_parts(stage: DecoderStage, asked: Sequence[Size] = ()) -> list[NetworkSpec]:
    """Both halves of the stage's MoVQ.

    Raises:
        CheckpointError: the stage makes no pictures of a size that is asked for.
    """
    sizes = sizes_of(stage, asked)
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


def parts_of(
    stage: PriorStage | DecoderStage, asked: Sequence[Size] = (), movq: bool = True
) -> list[NetworkSpec]:
    """All networks of a stage, its own first; those of its MoVQ only with ``movq``, since stages may share one.

    Raises:
        CheckpointError: the stage makes no pictures of a size that is asked for.
    """
    if isinstance(stage, PriorStage):
        return prior_parts(stage)
    return [*unet_parts(stage, asked), *(movq_parts(stage, asked) if movq else [])]


def load_networks(model: str | None, device: torch.device, dtype: torch.dtype) -> Iterator[NamedNetwork]:
    """Every network of a model, on ``device`` and in ``dtype``, for ``kandinsky backends check``.

    Raises:
        BackendUnavailable: when the model cannot be loaded.
    """
    checkpoints = Checkpoints(device, dtype)
    known: set[str] = set()
    try:
        for name, source in resolve(model, Sources()).given().items():
            stage = checkpoints.load(name, source)
            movq = getattr(stage, "movq_key", "")
            parts = parts_of(stage, movq=movq not in known)
            known.add(movq)
            for part in parts:
                yield NamedNetwork(part.name, part.role, part.module, tuple(part.warm_shapes(CHECK_ROWS)))
    except CheckpointError as error:
        raise BackendUnavailable(f"There is nothing to check: {error}") from error
