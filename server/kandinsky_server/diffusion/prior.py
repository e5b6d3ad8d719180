"""One denoising run of the prior: from text, or text and an image, to a CLIP image embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from numpy.typing import NDArray
from torch import Tensor

from kandinsky_server.diffusion.checkpoint import PriorStage
from kandinsky_server.diffusion.schedule import copy_scheduler
from kandinsky_server.errors import NonFinite

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TextCondition:
    """What the text encoder makes of one prompt: embedding [1, D], hidden states [1, T, H], mask [1, T] bool."""

    embed: Tensor
    states: Tensor
    mask: Tensor


@dataclass(frozen=True)
class PriorSampling:
    """``strength`` is None without a start embedding."""

    seed: int
    step_count: int
    guidance_scale: float
    strength: float | None = None

    @property
    def guided(self) -> bool:
        """Whether classifier-free guidance is on."""
        return self.guidance_scale > 1


def prior_rows(sampling: PriorSampling, negative: bool) -> int:
    """Rows of a prior trajectory: doubled by guidance, and by a negative prompt, which is denoised alongside."""
    return (2 if sampling.guided else 1) * (2 if negative else 1)


class PriorTrajectory:
    """Equals diffusers' KandinskyV22PriorPipeline, and with ``start`` KandinskyV22PriorEmb2EmbPipeline, for one image.

    With a negative prompt two embeddings are denoised from one generator, as there: its noise has two rows.

    Args:
        stage: the loaded prior.
        prompt: the encoded prompt.
        negative: the encoded negative prompt, or None.
        unconditional: the encoded empty prompt; used when guided and ``negative`` is None.
        sampling: seed, steps, guidance, strength.
        step_count: network calls, as `StepCounter` counts them.
        start: the embedding to start from [1, D], or None to start from noise.
    """

    def __init__(
        self,
        stage: PriorStage,
        prompt: TextCondition,
        negative: TextCondition | None,
        unconditional: TextCondition,
        sampling: PriorSampling,
        step_count: int,
        start: Tensor | None = None,
    ) -> None:
        self.stage = stage
        self.sampling = sampling
        self.step_count = step_count
        self.step = 0
        self.rows = prior_rows(sampling, negative is not None)
        self._start_embedding = start
        self._conditions = _condition_rows(prompt, negative, unconditional, sampling.guided)

    def start(self) -> None:
        """Copies the scheduler and draws the first latents."""
        stage, sampling = self.stage, self.sampling
        self._generator = torch.Generator().manual_seed(sampling.seed)
        self._scheduler, self._timesteps = copy_scheduler(
            stage.scheduler, sampling.step_count, sampling.strength, stage.device
        )
        count = self.rows // 2 if sampling.guided else self.rows
        noise = self._draw((count, stage.embedding_width))
        if self._start_embedding is None:
            self._latents = noise * self._scheduler.init_noise_sigma
        else:
            begin = self._start_embedding.to(stage.device, stage.dtype).repeat(count, 1)
            self._latents = self._scheduler.add_noise(begin, noise, self._timesteps[:1].repeat(count))

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        noise: Tensor = randn_tensor(
            shape, generator=self._generator, device=self.stage.device, dtype=self.stage.dtype
        )
        return noise

    def inputs(self) -> tuple[Tensor, ...]:
        """Latents, timestep, and the text conditions, unconditional rows first."""
        latents = self._latents.repeat(2, 1) if self.sampling.guided else self._latents
        timestep = self._timesteps[self.step].to(torch.float32).expand(self.rows)
        return (latents, timestep, *self._conditions)

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        """Guides the prediction (Ho & Salimans, arXiv:2207.12598) and takes the scheduler's step."""
        predicted = outputs[0]
        if self.sampling.guided:
            unconditional, conditional = predicted.chunk(2)
            predicted = unconditional + self.sampling.guidance_scale * (conditional - unconditional)
        last = self.step + 1 == len(self._timesteps)
        self._latents = self._scheduler.step(
            predicted,
            timestep=self._timesteps[self.step],
            sample=self._latents,
            generator=self._generator,
            prev_timestep=None if last else self._timesteps[self.step + 1],
        ).prev_sample
        self.step += 1

    def snapshot(self) -> Tensor | None:
        """An embedding cannot be shown."""
        return None

    def result(self) -> tuple[Floats, Floats | None]:
        """The embedding [D], and the negative prompt's [D] or None.

        Raises:
            NonFinite: when it holds NaN or infinity.
        """
        latents = self.stage.prior.post_process_latents(self._latents).float().cpu()
        if not torch.isfinite(latents).all():
            raise NonFinite("the prior made NaN or infinity; lower guidance_scale, or run the server in fp32")
        values = latents.numpy()
        return values[0], values[1] if len(values) > 1 else None


def _condition_rows(
    prompt: TextCondition, negative: TextCondition | None, unconditional: TextCondition, guided: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The text rows in diffusers' order: the unconditional ones, then the prompt and its negative."""
    positive = [prompt] if negative is None else [prompt, negative]
    against = [unconditional if negative is None else negative] * len(positive)
    rows = against + positive if guided else positive
    return (
        torch.cat([row.embed for row in rows]),
        torch.cat([row.states for row in rows]),
        torch.cat([row.mask for row in rows]),
    )
