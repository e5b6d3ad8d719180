"""Trajectories without networks, run before anything is served: can this scheduler do what requests will ask of it?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from kandinsky_server.checkpoints.source import first_line
from kandinsky_server.diffusion.decoder import Conditions, DecoderSampling, DecoderTrajectory
from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler
from kandinsky_server.diffusion.prior import PriorSampling, PriorTrajectory, TextCondition
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.stages import DecoderStage, PriorStage

STEPS = 4
STRENGTH = 0.5

Rehearsed = Iterator[tuple[str, PriorTrajectory | DecoderTrajectory]]


def rehearse(stage: PriorStage | DecoderStage) -> None:
    """Takes every kind of trajectory that requests of this stage have through all its steps, on noise.

    It does so with each of the stage's noise schedulers. The networks are not called and may be on the meta device.

    Raises:
        CheckpointError: naming the scheduler's file and what fails in which RPC.
    """
    still = replace(stage, device=torch.device("cpu"), dtype=torch.float32)
    for scheduler in stage.noise_schedulers.values():
        _rehearse(still, scheduler)


def _rehearse(stage: PriorStage | DecoderStage, scheduler: NoiseScheduler) -> None:
    rpc = "every request"
    try:
        trajectories = (
            _prior(stage, scheduler) if isinstance(stage, PriorStage) else _decoder(stage, scheduler)
        )
        for rpc, trajectory in trajectories:  # noqa: B007 that is told in the error
            _run(trajectory)
    except Exception as error:
        name, official = scheduler.name, stage.spec.scheduler
        advice = "" if name == official else f"; official checkpoints of this stage have {official}"
        raise CheckpointError(
            f"scheduler/scheduler_config.json makes a {name} that fails in {rpc}: {first_line(error)}{advice}"
        ) from error


def _prior(stage: PriorStage, scheduler: NoiseScheduler) -> Rehearsed:
    """Guided and not, with a negative prompt, and from an embedding."""
    # Results are scaled by numbers in the checkpoint, which has none yet.
    stage = replace(stage, prior=SimpleNamespace(config=stage.prior.config, post_process_latents=lambda x: x))
    width = stage.embedding_width
    text = TextCondition(torch.zeros(1, width), torch.zeros(1, 2, width), torch.ones(1, 2, dtype=torch.bool))
    for guidance_scale in (4.0, 1.0):
        for negative in (None, text):
            for strength in (None, STRENGTH):
                sampling = PriorSampling(0, STEPS, guidance_scale, strength)
                start = None if strength is None else np.zeros(width, dtype=np.float32)
                yield (
                    "Prior" if strength is None else "Prior from an image",
                    PriorTrajectory(stage, scheduler, text, negative, text, sampling, start),
                )


def _decoder(stage: DecoderStage, scheduler: NoiseScheduler) -> Rehearsed:
    """Guided and not; from noise and from a start image; with what inpaint and ControlNet add."""
    side = stage.size_step // stage.factor
    latents = torch.zeros(1, stage.latent_channels, side, side)
    embed = torch.zeros(1, stage.embedding_width)
    plain = Conditions(embed, embed)
    kinds = [("Decode", plain), ("Img2Img", replace(plain, start=latents))]
    if stage.spec.inpaints:
        kinds = [("Inpaint", replace(plain, kept=latents, keep_mask=_half_mask(latents)))]
    elif stage.spec.takes_hint:
        hinted = replace(plain, hint=latents)
        kinds = [("ControlNet", hinted), ("ControlNet from an image", replace(hinted, start=latents))]
    for rpc, conditions in kinds:
        for guidance_scale in (4.0, 1.0):
            strength = None if conditions.start is None else STRENGTH
            sampling = DecoderSampling(0, STEPS, guidance_scale, stage.size_step, stage.size_step, strength)
            yield rpc, DecoderTrajectory(stage, scheduler, conditions, sampling)


def _half_mask(latents: Tensor) -> Tensor:
    mask = torch.zeros_like(latents[:, :1])
    mask[..., : latents.shape[-1] // 2] = 1
    return mask


def _run(trajectory: PriorTrajectory | DecoderTrajectory) -> None:
    """All its steps, with noise for what a network would say."""
    generator = torch.Generator().manual_seed(0)
    trajectory.start()
    while trajectory.step < trajectory.step_count:
        latents = trajectory.inputs()[0]
        if isinstance(trajectory, DecoderTrajectory):
            # The UNet tells the variance, too.
            channels = 2 * trajectory.stage.latent_channels
            predicted = torch.randn(latents.shape[0], channels, *latents.shape[2:], generator=generator)
        else:
            predicted = torch.randn(latents.shape, generator=generator)
        trajectory.advance((predicted,))
    trajectory.result()
