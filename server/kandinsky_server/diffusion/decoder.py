"""One denoising run of a UNet: from an embedding to the latents of one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kandinsky_server.diffusion.batched_step import Kept, Prediction
from kandinsky_server.diffusion.denoising import Denoising
from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler
from kandinsky_server.diffusion.saved_latents import SavedLatents
from kandinsky_server.diffusion.schedule import learns_variance, takes_generator
from kandinsky_server.errors import NonFinite
from kandinsky_server.families.stages import DecoderStage


@dataclass(frozen=True)
class DecoderSampling:
    """Sizes in pixels; ``strength`` is None without a start image."""

    seed: int
    step_count: int
    guidance_scale: float
    width: int
    height: int
    strength: float | None = None

    @property
    def guided(self) -> bool:
        """Whether classifier-free guidance is on."""
        return self.guidance_scale > 1

    @property
    def rows(self) -> int:
        """Rows of its trajectory."""
        return 2 if self.guided else 1


@dataclass(frozen=True)
class Conditions:
    """What steers one image; all tensors have one row, on any device: `start` brings them to the stage's, in its dtype.

    Attributes:
        positive: embedding [1, D].
        negative: embedding [1, D]; needed when guided.
        start: latents of the image to start from [1, 4, h, w], for img2img.
        kept: latents of the image to keep [1, 4, h, w], for inpaint.
        keep_mask: 1 where latents are kept, 0 where they are repainted [1, 1, h, w], for inpaint.
        hint: encoded [1, 4, h, w], for ControlNet.
    """

    positive: Tensor
    negative: Tensor | None = None
    start: Tensor | None = None
    kept: Tensor | None = None
    keep_mask: Tensor | None = None
    hint: Tensor | None = None


class DecoderTrajectory(Denoising):
    """Equals, for one image, diffusers' KandinskyV22Pipeline and, by its conditions, the Img2Img, Inpaint, Controlnet
    and ControlnetImg2Img pipelines up to the latents.
    """

    def __init__(
        self,
        stage: DecoderStage,
        scheduler: NoiseScheduler,
        conditions: Conditions,
        sampling: DecoderSampling,
        begun: SavedLatents | None = None,
    ) -> None:
        super().__init__(stage, scheduler, scheduler.count(sampling.step_count, sampling.strength), begun)
        self.stage = stage
        self.conditions = conditions
        self.sampling = sampling
        self.rows = sampling.rows
        self._shown: Tensor | None = None

    def start(self) -> None:
        """Copies the scheduler, draws the noise, and lays out what does not change from step to step."""
        stage, sampling, conditions = self.stage, self.sampling, self.conditions
        self._begin(sampling.seed, sampling.step_count, sampling.strength)
        scheduler = self._schedule.scheduler
        # UniPC and some others draw no noise and take no generator.
        self._random = {"generator": self.generator} if takes_generator(scheduler) else {}
        self._noise = self._draw(
            (1, stage.latent_channels, sampling.height // stage.factor, sampling.width // stage.factor)
        )
        if conditions.start is None:
            self._noise = self._noise * scheduler.init_noise_sigma
            self.latents = self._noise
        else:
            self.latents = self._schedule.noised(self._here(conditions.start), self._noise, 0)
        self.guidance = self._scale(sampling.guidance_scale)
        self._embeds = self._doubled(conditions.positive, conditions.negative)
        self._hint = None if conditions.hint is None else self._doubled(conditions.hint, conditions.hint)
        self._masked: Tensor | None = None
        if conditions.kept is not None and conditions.keep_mask is not None:
            self._keep(self._here(conditions.kept), self._here(conditions.keep_mask))
        self._go_on()

    def _keep(self, kept: Tensor, mask: Tensor) -> None:
        masked = torch.cat([kept * mask, mask], dim=1)
        self._masked = self._doubled(masked, masked)
        self._kept, self._mask, self._rest = kept, mask, 1 - mask
        if self.together:
            # After the last step what is kept is clean.
            shares = self._schedule.mixture(kept.dtype)
            self._mixture = tuple(
                torch.cat([each[1:], torch.full_like(each[:1], end)])
                for each, end in zip(shares, (1, 0), strict=True)
            )

    def _doubled(self, conditional: Tensor, unconditional: Tensor | None) -> Tensor:
        """Both on the device, the unconditional row first, as diffusers lays them out."""
        if not self.sampling.guided or unconditional is None:
            return self._here(conditional)
        return torch.cat([self._here(unconditional), self._here(conditional)])

    def inputs(self) -> tuple[Tensor, ...]:
        """The latents (with the masked image and mask for inpaint), timestep, embeddings and, for ControlNet, hint."""
        sample = self._doubled(self.latents, self.latents)
        if self._masked is not None:
            sample = torch.cat([sample, self._masked], dim=1)
        timestep = self._schedule.times[self.step].expand(self.rows)
        if self._hint is None:
            return sample, timestep, self._embeds
        return sample, timestep, self._embeds, self._hint

    def predict(self, outputs: tuple[Tensor, ...]) -> Prediction:
        """The noise, which is guided, and the variance, which is not (diffusers' pipeline_kandinsky2_2.py)."""
        channels = self.latents.shape[1]
        noise, variance = outputs[0][:, :channels], outputs[0][-1:, channels:]
        return Prediction(
            noise[-1:],
            noise[:1] if self.sampling.guided else None,
            variance if learns_variance(self._schedule.scheduler) else None,
        )

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        """Guides the noise and takes the scheduler's step."""
        prediction = self.predict(outputs)
        predicted = prediction.values
        if prediction.against is not None:
            unconditional = prediction.against
            predicted = unconditional + self.sampling.guidance_scale * (predicted - unconditional)
        if prediction.variance is not None:
            predicted = torch.cat([predicted, prediction.variance], dim=1)
        schedule = self._schedule
        output = schedule.scheduler.step(
            predicted, schedule.timesteps[self.step], self.latents, **self._random
        )
        latents = output.prev_sample
        if self._masked is not None:
            latents = self._mask * self._kept_before(self.step + 1) + self._rest * latents
        self.move(latents, getattr(output, "pred_original_sample", None))

    def _kept_before(self, step: int) -> Tensor:
        """What is kept at the noise level of a step; after the last one, clean."""
        return self._schedule.noised(self._kept, self._noise, step) if step < self.step_count else self._kept

    @property
    def kept(self) -> Kept | None:
        """For inpainting, as the next step needs it."""
        if self._masked is None:
            return None
        step = slice(self.step, self.step + 1)
        of_clean, of_noise = (share[step] for share in self._mixture)
        return Kept(self._kept, self._noise, self._mask, self._rest, (of_clean, of_noise))

    def move(self, latents: Tensor, clean: Tensor | None) -> None:
        """Ends the step with these latents; ``clean`` is the picture as predicted now, where the scheduler tells it."""
        self.latents = latents
        self._shown = clean
        self.step += 1

    def snapshot(self) -> Tensor | None:
        """The picture as predicted now: the scheduler's estimate of the clean latents where it gives one."""
        return (self.latents if self._shown is None else self._shown).clone()

    def result(self) -> Tensor:
        """The finished latents [1, 4, h, w].

        Raises:
            NonFinite: when they hold NaN or infinity.
        """
        if not torch.isfinite(self.latents).all():
            raise NonFinite(
                "the decoder made NaN or infinity; lower guidance_scale, or run the server in fp32"
            )
        # A row of a batch is a view that would keep the whole batch alive.
        return self.latents.clone()
