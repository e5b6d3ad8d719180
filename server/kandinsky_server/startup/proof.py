"""Whether a batched noise step equals the library's own, bit for bit: on this device, in this dtype and scheduler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from kandinsky_backends.device_errors import is_fatal
from torch import Tensor

from kandinsky_server.diffusion.batched_step import BatchedStep
from kandinsky_server.diffusion.coefficients import has_coefficients
from kandinsky_server.diffusion.decoder import Conditions, DecoderSampling, DecoderTrajectory
from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler
from kandinsky_server.diffusion.prior import PriorSampling, PriorTrajectory, TextCondition
from kandinsky_server.families.stages import DecoderStage, PriorStage

log = logging.getLogger(__name__)

SAMPLINGS = ((4.0, 7, None), (1.0, 3, None), (7.5, 5, None), (2.0, 10, 0.5), (1.0, 8, 0.75))
"""Guidance scale, steps and strength of the trajectories compared: they end one by one, so the last is alone."""


@torch.no_grad()
def proven_step(stage: PriorStage | DecoderStage, scheduler: NoiseScheduler) -> BatchedStep | None:
    """The step that one of a stage's noise schedulers takes for whole batches; logs whether there is one.

    None where it would differ from the library's in any bit, or fails; raises only what is fatal to the device.
    """
    template, name = scheduler.template, scheduler.name
    try:
        step = BatchedStep(template, stage.device) if has_coefficients(template) else None
        if step and _equals_diffusers_own(stage, template, step):
            log.info("stage %s: %s takes one noise step for a whole batch", stage.name, name)
            return step
        why = "it differs in bits" if step else "there is none for this scheduler"
    except Exception as error:
        if is_fatal(error):
            raise
        why = f"it failed: {error}"
    log.info(
        "stage %s: %s takes a noise step for each image; not for a whole batch: %s", stage.name, name, why
    )
    return None


def _equals_diffusers_own(stage: PriorStage | DecoderStage, template: Any, step: BatchedStep) -> bool:
    """Takes the same trajectories by either step to their ends, on noise for what a network would say."""
    generator = torch.Generator().manual_seed(0)
    schedulers = NoiseScheduler(template), NoiseScheduler(template, step)
    pairs = list(zip(*(_trajectories(stage, each) for each in schedulers), strict=True))
    for pair in pairs:
        for trajectory in pair:
            trajectory.start()
    while pairs:
        outputs = [(_said_of(own, generator),) for own, _ in pairs]
        for (own, _), output in zip(pairs, outputs, strict=True):
            own.advance(output)
        step.advance([together for _, together in pairs], outputs)
        if not all(_equal(own, together) for own, together in pairs):
            return False
        pairs = [pair for pair in pairs if pair[0].step < pair[0].step_count]
    return True


def _equal(own: PriorTrajectory | DecoderTrajectory, together: PriorTrajectory | DecoderTrajectory) -> bool:
    pairs = [(own.latents, together.latents), (own.snapshot(), together.snapshot())]
    return all(a is b is None or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def _said_of(trajectory: PriorTrajectory | DecoderTrajectory, generator: torch.Generator) -> Tensor:
    _, *sample = trajectory.latents.shape
    if isinstance(trajectory, DecoderTrajectory):
        sample[0] *= 2  # the UNet tells the variance, too
    said = torch.randn(trajectory.rows, *sample, generator=generator)
    return said.to(trajectory.latents)


def _trajectories(
    stage: PriorStage | DecoderStage, scheduler: NoiseScheduler
) -> Iterator[PriorTrajectory | DecoderTrajectory]:
    """One for each of the samplings, the same at every call."""
    generator = torch.Generator().manual_seed(1)
    for seed, (scale, steps, strength) in enumerate(SAMPLINGS):
        if isinstance(stage, PriorStage):
            prior = PriorSampling(seed, steps, scale, strength)
            yield _prior(stage, scheduler, prior, generator)
        else:
            strength = None if stage.spec.inpaints else strength
            size = stage.native_size
            sampling = DecoderSampling(seed, steps, scale, size, size, strength)
            yield _decoder(stage, scheduler, sampling, generator)


def _prior(
    stage: PriorStage, scheduler: NoiseScheduler, sampling: PriorSampling, generator: torch.Generator
) -> PriorTrajectory:
    """Every other one with a negative prompt."""
    text = TextCondition(*torch.zeros(3, 1, 1, device=stage.device))
    values = torch.randn(stage.embedding_width, generator=generator).numpy()
    start = None if sampling.strength is None else np.asarray(values)
    negative = text if sampling.seed % 2 else None
    return PriorTrajectory(stage, scheduler, text, negative, text, sampling, start)


def _decoder(
    stage: DecoderStage, scheduler: NoiseScheduler, sampling: DecoderSampling, generator: torch.Generator
) -> DecoderTrajectory:
    """From noise or a start image; where the stage inpaints, with a mask."""
    embed, side = torch.zeros(1, stage.embedding_width), stage.native_size // stage.factor
    latents = torch.randn(1, stage.latent_channels, side, side, generator=generator)
    mask = (latents[:, :1] > 0).float()
    if stage.spec.inpaints:
        conditions = Conditions(embed, embed, kept=latents, keep_mask=mask)
    else:
        conditions = Conditions(embed, embed, start=None if sampling.strength is None else latents)
    return DecoderTrajectory(stage, scheduler, conditions, sampling)
