"""A network as the engine calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kandinsky_server.engine.room import Room

Call = Callable[..., tuple[Tensor, ...]]
"""Takes the inputs positionally, all with the same number of rows; returns outputs with as many."""

Sample = tuple[int, ...]
"""The shape of one row."""


@dataclass(frozen=True)
class Returns:
    """What a network returns: by one row of its first input, that of each output; and the outputs' dtype."""

    samples: Callable[[Sample], tuple[Sample, ...]]
    dtype: torch.dtype

    def check(self, first: Tensor, outputs: object) -> None:
        """Raises RuntimeError unless ``outputs`` are what the network returns for ``first`` and its other inputs."""
        rows = len(first)
        wanted = [
            ((rows, *sample), self.dtype, first.device) for sample in self.samples(tuple(first.shape[1:]))
        ]
        if isinstance(outputs, tuple) and [_kind(output) for output in outputs] == wanted:
            return
        found = (
            [_kind(output) for output in outputs] if isinstance(outputs, tuple) else type(outputs).__name__
        )
        raise RuntimeError(f"it returned {found} where {wanted} is needed")


def _kind(output: object) -> object:
    if not isinstance(output, Tensor):
        return type(output).__name__
    return tuple(output.shape), output.dtype, output.device


@dataclass
class DeviceNetwork:
    """One network on the device. The engine takes ``fallback``, and less ``room``, when it must.

    ``stage`` is the metrics label; ``max_pixels`` bounds rows times the area of the lane's shape, None for no bound.
    ``release`` gives back what the backend holds between calls, of all its networks; None where it holds nothing.
    What ``call`` gives is held to ``returns`` as long as there is a ``fallback``: eager itself is what all is held to.
    """

    name: str
    stage: str
    backend: str
    call: Call
    max_rows: int
    max_pixels: int | None = None
    fallback: Call | None = None
    returns: Returns | None = None
    release: Callable[[], None] | None = None
    room: Room = field(default_factory=Room)

    def rows_for(self, area: int) -> int:
        """The most rows of one call at this area; at least 1."""
        bounds = [
            pixels // max(1, area) for pixels in (self.max_pixels, self.room.pixels) if pixels is not None
        ]
        return max(1, min([self.max_rows, *bounds]))

    def shrink(self, rows: int, area: int, now: float) -> None:
        """Halves the room: ``rows`` of ``area`` did not fit. Smaller pictures keep their rows."""
        self.room.shrink(max(1, rows // 2) * area, now)

    def grow(self, area: int, now: float) -> bool:
        """Doubles the room after a quiet time, up to what it was; returns whether it did."""
        return self.room.grow(self.max_pixels or self.max_rows * area, now)
