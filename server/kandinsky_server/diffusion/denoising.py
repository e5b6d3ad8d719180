"""What the trajectories of many steps have in common."""

from __future__ import annotations

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler
from kandinsky_server.diffusion.saved_latents import SavedLatents
from kandinsky_server.diffusion.schedule import Schedule
from kandinsky_server.families.stages import Stage


class Denoising:
    """Latents on their way, by the steps of a noise scheduler; ``step_count`` is how often they go through a network.

    With ``begun`` they go on from there.
    """

    latents: Tensor
    guidance: Tensor

    def __init__(
        self, stage: Stage, scheduler: NoiseScheduler, step_count: int, begun: SavedLatents | None
    ) -> None:
        self._device, self._dtype = stage.device, stage.dtype
        self._template = scheduler.template
        self.step_count = step_count
        self.together = scheduler.together
        self._begun = begun
        self.step = begun.step if begun else 0

    def _begin(self, seed: int, step_count: int, strength: float | None) -> None:
        """Copies the scheduler, set to ``step_count`` steps, of which ``strength`` leaves some."""
        self.generator = torch.Generator().manual_seed(seed)
        self._schedule = Schedule(self._template, step_count, strength, self._device)
        if self.together:
            self._table = self.together.table(step_count)[-len(self._schedule.timesteps) :]

    def _go_on(self) -> None:
        """Once all is as at the first step: takes up the latents, and leaves the generator as the steps before did.

        Each step that adds noise draws it in the latents' shape (diffusers' scheduling_ddpm.py, scheduling_unclip.py).
        """
        if self._begun is None:
            return
        for step in range(self._begun.step):
            if self._draws_at(step):
                randn_tensor(tuple(self.latents.shape), self.generator, torch.device("cpu"), self._dtype)
        self.latents = self._here(self._begun.tensor())

    def checkpoint(self) -> SavedLatents | None:
        """What a trajectory of the same request goes on from."""
        return SavedLatents.of(self.latents, self.step, self.step_count)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        noise: Tensor = randn_tensor(shape, self.generator, self._device, self._dtype)
        return noise

    def _here(self, tensor: Tensor) -> Tensor:
        """On the stage's device, in its dtype."""
        return tensor.to(self._device, self._dtype)

    def _scale(self, scale: float) -> Tensor:
        """A number for every row of the latents, float32 [n, 1, ...]."""
        shape = (len(self.latents), *[1] * (self.latents.ndim - 1))
        return torch.full(shape, scale, dtype=torch.float32, device=self._device)

    @property
    def draws(self) -> bool:
        """Whether the present step adds noise: the schedulers that step together do so but at timestep 0."""
        return self._draws_at(self.step)

    def _draws_at(self, step: int) -> bool:
        return int(self._schedule.timesteps[step]) > 0

    @property
    def coefficients(self) -> Tensor:
        """Of the present step [n, 6], by `BatchedStep.table`."""
        return self._table[self.step : self.step + 1].expand(len(self.latents), -1)
