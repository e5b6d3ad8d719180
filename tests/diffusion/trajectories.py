"""Every kind of trajectory that requests have."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.diffusion.batched_step import BatchedStep
from kandinsky_server.diffusion.decoder import Conditions, DecoderSampling, DecoderTrajectory
from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler, by_name
from kandinsky_server.diffusion.prior import PriorSampling, PriorTrajectory, TextCondition
from kandinsky_server.testing.device import DEVICE

SIDE = 64
"""Pixels."""

STEPS = 8


@cache
def load(directory: Path, stage: str, dtype: torch.dtype = torch.float32) -> Any:
    return Checkpoints(DEVICE, dtype).load(stage, str(directory / stage))


def default_scheduler(stage: Any) -> NoiseScheduler:
    """The checkpoint's own scheduler."""
    scheduler: NoiseScheduler = stage.noise_scheduler()
    return scheduler


def with_scheduler(stage: Any, template: Any) -> Any:
    """The stage, with this scheduler of diffusers' for its only one."""
    return replace(stage, noise_schedulers=by_name([NoiseScheduler(template)]))


def decoder(
    stage: Any,
    together: BatchedStep | None = None,
    *,
    seed: int = 0,
    steps: int = STEPS,
    scale: float = 4.0,
    start: bool = False,
) -> DecoderTrajectory:
    """Decode, or Img2Img with ``start``; Inpaint and ControlNet by the stage."""
    draw = torch.Generator().manual_seed(seed + 100)
    embed = torch.randn(1, stage.embedding_width, generator=draw)
    latents = torch.randn(
        1, stage.latent_channels, SIDE // stage.factor, SIDE // stage.factor, generator=draw
    )
    inpaint = stage.name == "inpaint"
    conditions = Conditions(
        embed,
        -embed,
        start=latents if start else None,
        kept=latents if inpaint else None,
        keep_mask=(latents[:, :1] > 0).float() if inpaint else None,
        hint=latents if stage.name == "controlnet" else None,
    )
    strength = 0.5 if start else None
    sampling = DecoderSampling(seed, steps, scale, SIDE, SIDE, strength)
    return DecoderTrajectory(
        stage, replace(default_scheduler(stage), together=together), conditions, sampling
    )


def prior(
    stage: Any,
    together: BatchedStep | None = None,
    *,
    seed: int = 0,
    steps: int = STEPS,
    scale: float = 4.0,
    start: bool = False,
    negative: bool = False,
) -> PriorTrajectory:
    """From text or, with ``start``, an embedding."""
    draw = torch.Generator().manual_seed(seed + 100)

    def text() -> TextCondition:
        embed, states = torch.randn(1, stage.embedding_width, generator=draw), torch.zeros(1, 3, 5)
        of_text = (embed, states, states[..., 0] == 0)
        return TextCondition(*(each.to(DEVICE) for each in of_text))

    strength = 0.5 if start else None
    embedding = torch.randn(stage.embedding_width, generator=draw).numpy() if start else None
    return PriorTrajectory(
        stage,
        replace(default_scheduler(stage), together=together),
        text(),
        text() if negative else None,
        text(),
        PriorSampling(seed, steps, scale, strength),
        embedding,
    )


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "decode": ("decoder", {}),
    "decode unguided": ("decoder", {"scale": 1.0}),
    "img2img": ("decoder", {"start": True}),
    "inpaint": ("inpaint", {}),
    "inpaint unguided": ("inpaint", {"scale": 1.0}),
    "controlnet": ("controlnet", {}),
    "controlnet img2img": ("controlnet", {"start": True}),
    "prior": ("prior", {}),
    "prior unguided": ("prior", {"scale": 1.0}),
    "prior with a negative prompt": ("prior", {"negative": True}),
    "prior from an image": ("prior", {"start": True}),
}
"""The stage of each kind of trajectory, and what makes it."""


def make(stage: Any, together: BatchedStep | None = None, **options: Any) -> Any:
    return (prior if stage.name == "prior" else decoder)(stage, together, **options)


def outputs_of(trajectory: Any, draw: torch.Generator) -> tuple[torch.Tensor]:
    """Noise in place of what a network says, drawn on the CPU."""
    sample = list(trajectory.latents.shape[1:])
    if isinstance(trajectory, DecoderTrajectory):
        sample[0] *= 2
    noise = torch.randn(trajectory.rows, *sample, generator=draw)
    return (noise.to(trajectory.stage.device, trajectory.stage.dtype),)
