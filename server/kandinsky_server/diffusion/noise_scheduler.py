"""The noise schedulers of a stage: diffusers' own, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kandinsky_server.diffusion.batched_step import BatchedStep
from kandinsky_server.diffusion.schedule import StepCounter


@dataclass(frozen=True)
class NoiseScheduler:
    """One of diffusers' schedulers, set up for a stage.

    Attributes:
        template: what every trajectory copies.
        together: steps whole batches of trajectories; None where each takes the library's own step.
    """

    template: Any
    together: BatchedStep | None = None

    @property
    def name(self) -> str:
        """diffusers' name of its class, which receipts and GetServerInfo have, too."""
        return type(self.template).__name__

    @cached_property
    def count(self) -> StepCounter:
        """How many network calls a request makes, and which numbers of steps it may ask for."""
        return StepCounter(self.template)


def by_name(schedulers: Iterable[NoiseScheduler]) -> Mapping[str, NoiseScheduler]:
    """In their order: the first is the stage's default."""
    return {scheduler.name: scheduler for scheduler in schedulers}
