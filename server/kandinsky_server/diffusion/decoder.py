"""One denoising run of a UNet: from an embedding to the latents of one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from kandinsky_server.diffusion.checkpoint import DecoderStage
from kandinsky_server.diffusion.schedule import copy_scheduler, learns_variance, takes_generator
from kandinsky_server.errors import NonFinite


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
    """What steers one image; all tensors have one row, on the stage's device and in its dtype.

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


class DecoderTrajectory:
    """Equals, for one image, diffusers' KandinskyV22Pipeline and, by its conditions, the Img2Img, Inpaint, Controlnet
    and ControlnetImg2Img pipelines up to the latents.
    """

    def __init__(
        self, stage: DecoderStage, conditions: Conditions, sampling: DecoderSampling, step_count: int
    ) -> None:
        self.stage = stage
        self.conditions = conditions
        self.sampling = sampling
        self.step_count = step_count
        self.step = 0
        self.rows = sampling.rows
        self._shown: Tensor | None = None

    def start(self) -> None:
        """Copies the scheduler, draws the noise, and lays out what does not change from step to step."""
        stage, sampling, conditions = self.stage, self.sampling, self.conditions
        self._generator = torch.Generator().manual_seed(sampling.seed)
        self._scheduler, self._timesteps = copy_scheduler(
            stage.scheduler, sampling.step_count, sampling.strength, stage.device
        )
        # UniPC and some others draw no noise and take no generator.
        self._random = {"generator": self._generator} if takes_generator(self._scheduler) else {}
        self._noise = self._draw(
            (1, stage.latent_channels, sampling.height // stage.factor, sampling.width // stage.factor)
        )
        if conditions.start is None:
            self._noise = self._noise * self._scheduler.init_noise_sigma
            self._latents = self._noise
        else:
            self._latents = self._scheduler.add_noise(conditions.start, self._noise, self._timesteps[:1])
        self._embeds = self._doubled(conditions.positive, conditions.negative)
        self._masked: Tensor | None = None
        if conditions.kept is not None and conditions.keep_mask is not None:
            masked = torch.cat([conditions.kept * conditions.keep_mask, conditions.keep_mask], dim=1)
            self._masked = self._doubled(masked, masked)
        self._hint = None if conditions.hint is None else self._doubled(conditions.hint, conditions.hint)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        noise: Tensor = randn_tensor(
            shape, generator=self._generator, device=self.stage.device, dtype=self.stage.dtype
        )
        return noise

    def _doubled(self, conditional: Tensor, unconditional: Tensor | None) -> Tensor:
        """Unconditional rows first, as diffusers lays them out."""
        if not self.sampling.guided or unconditional is None:
            return conditional
        return torch.cat([unconditional, conditional])

    def inputs(self) -> tuple[Tensor, ...]:
        """The latents (with the masked image and mask for inpaint), timestep, embeddings and, for ControlNet, hint."""
        sample = self._doubled(self._latents, self._latents)
        if self._masked is not None:
            sample = torch.cat([sample, self._masked], dim=1)
        timestep = self._timesteps[self.step].to(torch.float32).expand(self.rows)
        if self._hint is None:
            return sample, timestep, self._embeds
        return sample, timestep, self._embeds, self._hint

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        """Guides the noise but not the variance (diffusers' pipeline_kandinsky2_2.py) and takes the scheduler's step."""
        channels = self._latents.shape[1]
        predicted = outputs[0]
        if self.sampling.guided:
            noise, variance = predicted[:, :channels], predicted[:, channels:]
            unconditional, conditional = noise.chunk(2)
            noise = unconditional + self.sampling.guidance_scale * (conditional - unconditional)
            predicted = torch.cat([noise, variance.chunk(2)[1]], dim=1)
        if not learns_variance(self._scheduler):
            predicted = predicted[:, :channels]
        output = self._scheduler.step(predicted, self._timesteps[self.step], self._latents, **self._random)
        self._latents = output.prev_sample
        self._shown = getattr(output, "pred_original_sample", None)
        self._paste_kept()
        self.step += 1

    def _paste_kept(self) -> None:
        """Puts the kept part back at the noise level of the next step; at the last one, clean."""
        kept, mask = self.conditions.kept, self.conditions.keep_mask
        if kept is None or mask is None:
            return
        if self.step + 1 < self.step_count:
            kept = self._scheduler.add_noise(kept, self._noise, self._timesteps[self.step + 1].reshape(1))
        self._latents = mask * kept + (1 - mask) * self._latents

    def snapshot(self) -> Tensor | None:
        """The picture as predicted now: the scheduler's estimate of the clean latents where it gives one."""
        return (self._latents if self._shown is None else self._shown).clone()

    def result(self) -> Tensor:
        """The finished latents [1, 4, h, w].

        Raises:
            NonFinite: when they hold NaN or infinity.
        """
        if not torch.isfinite(self._latents).all():
            raise NonFinite(
                "the decoder made NaN or infinity; lower guidance_scale, or run the server in fp32"
            )
        return self._latents
