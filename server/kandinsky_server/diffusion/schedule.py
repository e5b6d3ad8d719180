"""Which timesteps a trajectory goes through. The schedulers themselves are diffusers'."""

from __future__ import annotations

import copy
import inspect
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

SEARCHED = 10
"""How many numbers of steps are tried for one that a scheduler takes."""


def copy_scheduler(template: Any, step_count: int, strength: float | None) -> tuple[Any, Tensor]:
    """A scheduler of one's own, set to ``step_count`` steps, and the timesteps that ``strength`` leaves of them.

    ``strength`` None takes them all. Same arithmetic as ``get_timesteps`` in diffusers'
    pipeline_kandinsky2_2_img2img.py. All is on the CPU: a step reads its timestep and its tables, and would wait for
    any other device.
    """
    scheduler = copy.deepcopy(template)
    scheduler.set_timesteps(step_count, device="cpu")
    return scheduler, scheduler.timesteps[_skipped(step_count, strength) :]


class Schedule:
    """A trajectory's own scheduler and the timesteps it goes through.

    Attributes:
        scheduler: takes the steps; its tables stay on the CPU.
        timesteps: [S] on the CPU, int64 or float32 as the scheduler has them.
        times: the same as float32 on the device, for the network.
    """

    def __init__(self, template: Any, step_count: int, strength: float | None, device: torch.device) -> None:
        self.scheduler, self.timesteps = copy_scheduler(template, step_count, strength)
        self.times = self.timesteps.to(torch.float32).to(device)
        # Adding noise moves some schedulers' tables to the device, for good; this copy's are not those of the steps.
        self._adder = copy.copy(self.scheduler)
        self._levels = self.timesteps.to(device)

    def noised(self, clean: Tensor, noise: Tensor, step: int) -> Tensor:
        """``clean`` [n, ...] with as much of ``noise`` as there is before step ``step``, by the scheduler's add_noise."""
        levels = self._levels[step : step + 1].repeat(len(clean))
        noisy: Tensor = self._adder.add_noise(clean, noise, levels)
        return noisy

    def mixture(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """What `noised` multiplies the clean latents and the noise by before each step: [S, 1, 1, 1] each."""
        ones = torch.ones((len(self._levels), 1, 1, 1), device=self._levels.device, dtype=dtype)
        nothing = torch.zeros_like(ones)
        add = self._adder.add_noise
        return add(ones, nothing, self._levels), add(nothing, ones, self._levels)


def _skipped(step_count: int, strength: float | None) -> int:
    if strength is None:
        return 0
    return max(step_count - min(int(step_count * strength), step_count), 0)


def learns_variance(scheduler: Any) -> bool:
    """Whether the scheduler wants the UNet's variance channels, by diffusers' own test."""
    return getattr(scheduler.config, "variance_type", None) in ("learned", "learned_range")


def steps_by_latents(scheduler: Any) -> bool:
    """Whether a step depends on nothing of the steps before but the latents and the generator.

    Others keep earlier predictions, or count their steps.
    """
    return type(scheduler).__name__ in ("DDPMScheduler", "UnCLIPScheduler", "DDIMScheduler")


def takes_generator(scheduler: Any) -> bool:
    """Whether the scheduler's step draws from a generator of the caller's."""
    return "generator" in inspect.signature(scheduler.step).parameters


class StepCounter:
    """How many network calls a request of so many steps makes: schedulers of higher order make more than one a step."""

    def __init__(self, template: Any) -> None:
        self._template = template
        self._count = lru_cache(maxsize=256)(self._measure)
        self.takes = lru_cache(maxsize=256)(self._takes)

    def __call__(self, step_count: int, strength: float | None = None) -> int:
        """The length of the timesteps that `copy_scheduler` returns; 0 when ``strength`` leaves none."""
        return max(0, self._count(step_count) - _skipped(step_count, strength))

    @cached_property
    def least(self) -> int:
        """The least number of steps that the scheduler takes: UnCLIP, for one, needs two."""
        return next((count for count in range(1, SEARCHED + 1) if self.takes(count)), 1)

    def most(self, allowed: int) -> int:
        """The largest number up to ``allowed``: many take no more steps than they were trained with."""
        trained = int(getattr(self._template.config, "num_train_timesteps", allowed))
        return max(self.least, allowed if allowed <= trained or self.takes(trained + 1) else trained)

    def nearest(self, step_count: int) -> int | None:
        """A number of steps close above ``step_count`` that the scheduler takes; None when there is none."""
        return next((n for n in range(step_count + 1, step_count + SEARCHED) if self.takes(n)), None)

    def _takes(self, step_count: int) -> bool:
        try:
            return self(step_count) > 0
        except (ArithmeticError, ValueError, IndexError):
            return False

    def _measure(self, step_count: int) -> int:
        scheduler = copy.deepcopy(self._template)
        scheduler.set_timesteps(step_count)
        return len(scheduler.timesteps)
