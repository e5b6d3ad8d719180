"""What the engine knows of a denoising run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import Tensor

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class BatchKey:
    """Trajectories with equal keys may share a network call: same network, same input shapes."""

    network: str
    shape: tuple[int, ...]

    @property
    def area(self) -> int:
        """Pixels of one row, in latent space for UNets; 1 for embeddings."""
        return math.prod(self.shape) if len(self.shape) > 1 else 1


class Trajectory(Protocol[T_co]):
    """One run of one embedding or one image: its latents, scheduler, random generator and step index.

    The engine calls every method on its own thread, ``start`` once before the rest. A run that is one network call long
    (an encoder, MoVQ) is a trajectory of one step.
    """

    rows: int
    """Rows it takes in a batch: 1, or 2 with classifier-free guidance."""
    step_count: int
    step: int
    """Steps done; the trajectory is finished when it reaches ``step_count``."""

    def start(self) -> None:
        """Draws the first latents."""
        ...

    def inputs(self) -> tuple[Tensor, ...]:
        """The network's inputs for the next step, each with ``rows`` rows."""
        ...

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        """Takes the network's outputs, each with ``rows`` rows, and moves one step on."""
        ...

    def snapshot(self) -> Tensor | None:
        """The latents as they are now, detached from the run, for a preview; None when there is nothing to show."""
        ...

    def checkpoint(self) -> Any:
        """What another trajectory of the same request goes on from, copied to the host; its kind is the flow's."""
        ...

    def result(self) -> T_co:
        """What the finished run made.

        Raises:
            NonFinite: when it made NaN or infinity.
        """
        ...


class Together(Protocol):
    """Moves trajectories that were in one network call on at once. Those that may be have it as ``together``."""

    def advance(self, trajectories: Sequence[Any], outputs: Sequence[tuple[Tensor, ...]]) -> None:
        """Does what ``advance`` of each would do, or raises and has changed none of them."""
        ...
