"""One denoising run of the prior: from text, or text and an image, to a CLIP image embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kandinsky_server.diffusion.batched_step import Prediction
from kandinsky_server.diffusion.denoising import Denoising
from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler
from kandinsky_server.diffusion.saved_latents import SavedLatents
from kandinsky_server.errors import NonFinite
from kandinsky_server.families.stages import PriorStage

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


class PriorTrajectory(Denoising):
    """Equals diffusers' KandinskyV22PriorPipeline, and with ``start`` KandinskyV22PriorEmb2EmbPipeline, for one image.

    With a negative prompt two embeddings are denoised from one generator, as there: its noise has two rows.

    Args:
        stage: the loaded prior.
        scheduler: one of its noise schedulers.
        prompt: the encoded prompt.
        negative: the encoded negative prompt, or None.
        unconditional: the encoded empty prompt; used when guided and ``negative`` is None.
        sampling: seed, steps, guidance, strength.
        start: the embedding to start from [D], or None to start from noise.
        begun: latents to go on from.
    """

    def __init__(
        self,
        stage: PriorStage,
        scheduler: NoiseScheduler,
        prompt: TextCondition,
        negative: TextCondition | None,
        unconditional: TextCondition,
        sampling: PriorSampling,
        start: Floats | None = None,
        begun: SavedLatents | None = None,
    ) -> None:
        super().__init__(stage, scheduler, scheduler.count(sampling.step_count, sampling.strength), begun)
        self.stage = stage
        self.sampling = sampling
        self.rows = prior_rows(sampling, negative is not None)
        self._start_embedding = start
        self._rows_of_text = _text_rows(prompt, negative, unconditional, sampling.guided)

    def start(self) -> None:
        """Copies the scheduler, draws the first latents and lays out the text."""
        stage, sampling = self.stage, self.sampling
        self._begin(sampling.seed, sampling.step_count, sampling.strength)
        count = self.rows // 2 if sampling.guided else self.rows
        noise = self._draw((count, stage.embedding_width))
        if self._start_embedding is None:
            self.latents = noise * self._schedule.scheduler.init_noise_sigma
        else:
            begin = self._here(torch.from_numpy(self._start_embedding)).repeat(count, 1)
            self.latents = self._schedule.noised(begin, noise, 0)
        self.guidance = self._scale(sampling.guidance_scale)
        rows = self._rows_of_text
        self._conditions = (
            torch.cat([row.embed for row in rows]),
            torch.cat([row.states for row in rows]),
            torch.cat([row.mask for row in rows]),
        )
        self._go_on()

    def inputs(self) -> tuple[Tensor, ...]:
        """Latents, timestep, and the text conditions, unconditional rows first."""
        latents = self.latents.repeat(2, 1) if self.sampling.guided else self.latents
        timestep = self._schedule.times[self.step].expand(self.rows)
        return (latents, timestep, *self._conditions)

    def predict(self, outputs: tuple[Tensor, ...]) -> Prediction:
        """The clean embedding, which is guided."""
        if not self.sampling.guided:
            return Prediction(outputs[0])
        unconditional, conditional = outputs[0].chunk(2)
        return Prediction(conditional, unconditional)

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        """Guides the prediction (Ho & Salimans, arXiv:2207.12598) and takes the scheduler's step."""
        prediction = self.predict(outputs)
        predicted = prediction.values
        if prediction.against is not None:
            unconditional = prediction.against
            predicted = unconditional + self.sampling.guidance_scale * (predicted - unconditional)
        timesteps = self._schedule.timesteps
        last = self.step + 1 == len(timesteps)
        output = self._schedule.scheduler.step(
            predicted,
            timestep=timesteps[self.step],
            sample=self.latents,
            generator=self.generator,
            prev_timestep=None if last else timesteps[self.step + 1],
        )
        self.move(output.prev_sample)

    def checkpoint(self) -> SavedLatents | None:
        """None at the end: the embedding itself is on its way."""
        return super().checkpoint() if self.step < self.step_count else None

    @property
    def kept(self) -> None:
        """An embedding has no parts that are kept."""
        return None

    def move(self, latents: Tensor, clean: Tensor | None = None) -> None:
        """Ends the step with these latents; what they are predicted to become is not shown."""
        self.latents = latents
        self.step += 1

    def snapshot(self) -> Tensor | None:
        """An embedding cannot be shown."""
        return None

    def result(self) -> tuple[Floats, Floats | None]:
        """The embedding [D], and the negative prompt's [D] or None.

        Raises:
            NonFinite: when it holds NaN or infinity.
        """
        latents = self.stage.prior.post_process_latents(self.latents).float().cpu()
        if not torch.isfinite(latents).all():
            raise NonFinite("the prior made NaN or infinity; lower guidance_scale, or run the server in fp32")
        values = latents.numpy()
        return values[0], values[1] if len(values) > 1 else None


def _text_rows(
    prompt: TextCondition, negative: TextCondition | None, unconditional: TextCondition, guided: bool
) -> list[TextCondition]:
    """The text of each row in diffusers' order: the unconditional ones, then the prompt and its negative."""
    positive = [prompt] if negative is None else [prompt, negative]
    against = [unconditional if negative is None else negative] * len(positive)
    return against + positive if guided else positive
