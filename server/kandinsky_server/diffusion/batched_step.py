"""One step of the noise scheduler for all trajectories of a network call.

diffusers' own step takes one timestep for all rows, but those of a batch are each at their own. `prove` says where this
one is its equal, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor

from kandinsky_server.diffusion.coefficients import coefficients
from kandinsky_server.diffusion.schedule import copy_scheduler


@dataclass(frozen=True)
class Prediction:
    """What a network says of a trajectory's latents [n, ...], all [n, ...].

    Attributes:
        values: noise or clean latents, whichever the scheduler takes; with guidance, those of the condition.
        against: the unconditional ones; None without guidance.
        variance: None where the scheduler knows its own.
    """

    values: Tensor
    against: Tensor | None = None
    variance: Tensor | None = None


@dataclass(frozen=True)
class Kept:
    """The part of an image that inpainting keeps, in latents.

    Attributes:
        latents: clean [1, 4, h, w].
        noise: the trajectory's first noise [1, 4, h, w].
        mask: 1 where latents are kept [1, 1, h, w]; ``rest`` is 1 where they are not.
        mixture: shares of ``latents`` and ``noise`` [1, 1, 1, 1] before the next step.
    """

    latents: Tensor
    noise: Tensor
    mask: Tensor
    rest: Tensor
    mixture: tuple[Tensor, Tensor]


class Steppable(Protocol):
    """A trajectory that a batched step can move."""

    latents: Tensor
    generator: torch.Generator
    guidance: Tensor
    """The guidance scale as float32 [n, 1, ...], on the device."""

    @property
    def draws(self) -> bool:
        """Whether the present step adds noise."""
        ...

    @property
    def coefficients(self) -> Tensor:
        """Of the present step [n, 6], by `BatchedStep.table`."""
        ...

    @property
    def kept(self) -> Kept | None:
        """For inpainting."""
        ...

    def predict(self, outputs: tuple[Tensor, ...]) -> Prediction:
        """Reads the network's outputs for it."""
        ...

    def move(self, latents: Tensor, clean: Tensor) -> None:
        """Ends the step with these latents; ``clean`` is what they are predicted to become."""
        ...


class BatchedStep:
    """Steps of the schedulers that `has_coefficients` knows; shared by all trajectories of a stage.

    Operations and their order are those of ``step`` in diffusers' scheduling_ddpm.py and scheduling_unclip.py, and
    results are rounded to the latents' dtype after each of them, as there.
    """

    def __init__(self, template: Any, device: torch.device) -> None:
        self._template = template
        self._device = device
        # CUDA divides by a number on the host by multiplying with its reciprocal.
        self._by_reciprocal = device.type == "cuda"
        self.table = lru_cache(maxsize=64)(self._table)

    def _table(self, step_count: int) -> Tensor:
        """The coefficients of every step [S, 6] on the device."""
        scheduler, _ = copy_scheduler(self._template, step_count, None)
        numbers = coefficients(scheduler)
        if self._by_reciprocal:
            numbers[:, 1] = 1 / numbers[:, 1]
        return numbers.to(self._device)

    def advance(self, trajectories: Sequence[Steppable], outputs: Sequence[tuple[Tensor, ...]]) -> None:
        """Moves all of them one step on, or raises and leaves all as they were."""
        before = [trajectory.generator.get_state() for trajectory in trajectories]
        try:
            predictions = [each.predict(output) for each, output in zip(trajectories, outputs, strict=True)]
            # Those with guidance first, so that their rows are one block.
            order = sorted(range(len(trajectories)), key=lambda place: predictions[place].against is None)
            movers = [trajectories[place] for place in order]
            latents, clean = self._moved(movers, [predictions[place] for place in order])
        except Exception:
            for trajectory, state in zip(trajectories, before, strict=True):
                trajectory.generator.set_state(state)
            raise
        rows = [len(mover.latents) for mover in movers]
        for mover, own, own_clean in zip(movers, latents.split(rows), clean.split(rows), strict=True):
            mover.move(own, own_clean)

    def _moved(self, movers: Sequence[Steppable], predictions: Sequence[Prediction]) -> tuple[Tensor, Tensor]:
        latents = torch.cat([mover.latents for mover in movers])
        predicted = _guided(movers, predictions)
        variances = [each.variance for each in predictions if each.variance is not None]
        noise = self._noise(movers, latents)
        columns = torch.cat([mover.coefficients for mover in movers]).T
        columns = columns.reshape(len(columns), len(latents), *[1] * (latents.ndim - 1))
        variance = torch.cat(variances) if variances else None
        latents, clean = self._step(columns, predicted, variance, latents, noise)
        kept = [mover.kept for mover in movers]
        return _pasted([each for each in kept if each], latents), clean

    def _noise(self, movers: Sequence[Steppable], latents: Tensor) -> Tensor:
        """Drawn on the CPU, each from its own generator as ``randn_tensor`` does; one copy that nobody waits for."""
        # Pinned memory is not given out again before the copy has been made.
        noise = torch.zeros(latents.shape, dtype=latents.dtype, pin_memory=self._device.type == "cuda")
        for mover, rows in zip(movers, noise.split([len(each.latents) for each in movers]), strict=True):
            if mover.draws:
                rows.normal_(generator=mover.generator)
        return noise.to(self._device, non_blocking=True)

    def _step(
        self, columns: Tensor, predicted: Tensor, variance: Tensor | None, latents: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The latents after the step, and what is predicted to be left of them at the end."""
        dtype, config = latents.dtype, self._template.config
        of_noise, of_signal, of_clean, of_present, low, high = columns
        clean = predicted
        if config.prediction_type == "epsilon":
            clean = latents - (of_noise * predicted).to(dtype)
            clean = (clean * of_signal if self._by_reciprocal else clean / of_signal).to(dtype)
        if config.clip_sample:
            clean = clean.clamp(-config.clip_sample_range, config.clip_sample_range)
        mean = (of_clean * clean).to(dtype) + (of_present * latents).to(dtype)
        if variance is None:
            return mean + (low * noise).to(dtype), clean
        share = (variance + 1) / 2
        logarithm = (share * high).to(dtype) + ((1 - share) * low).to(dtype)
        return mean + torch.exp(0.5 * logarithm) * noise, clean


def _guided(movers: Sequence[Steppable], predictions: Sequence[Prediction]) -> Tensor:
    """The predictions of all, guided where they are; those with guidance are first (Ho & Salimans, arXiv:2207.12598)."""
    values = torch.cat([each.values for each in predictions])
    against = [each.against for each in predictions if each.against is not None]
    if not against:
        return values
    unconditional = torch.cat(against)
    scales = torch.cat([mover.guidance for mover in movers[: len(against)]])
    count = len(unconditional)
    guided = unconditional + (scales * (values[:count] - unconditional)).to(values.dtype)
    return guided if count == len(values) else torch.cat([guided, values[count:]])


def _pasted(kept: Sequence[Kept], latents: Tensor) -> Tensor:
    """The latents with what is kept laid over them; all of a network that inpaints keep something, no others do."""
    if not kept:
        return latents
    clean, noise, mask, rest = (
        torch.cat([getattr(each, name) for each in kept]) for name in ("latents", "noise", "mask", "rest")
    )
    of_clean, of_noise = (torch.cat([each.mixture[part] for each in kept]) for part in (0, 1))
    return mask * (of_clean * clean + of_noise * noise) + rest * latents
