"""A network as the engine calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Call = Callable[..., tuple[Tensor, ...]]
"""Takes the inputs positionally, all with the same number of rows; returns outputs with as many."""


@dataclass
class DeviceNetwork:
    """One network on the device. The engine lowers ``max_pixels`` and takes ``fallback`` when it must.

    ``stage`` is the metrics label; ``max_pixels`` bounds rows times the area of the lane's shape, None for no bound.
    """

    name: str
    stage: str
    backend: str
    call: Call
    max_rows: int
    max_pixels: int | None = None
    fallback: Call | None = None

    def rows_for(self, area: int) -> int:
        """The most rows of one call at this area; at least 1."""
        by_pixels = self.max_rows if self.max_pixels is None else self.max_pixels // max(1, area)
        return max(1, min(self.max_rows, by_pixels))

    def halve(self, rows: int, area: int) -> None:
        """Lowers ``max_pixels`` to half of what did not fit. Smaller pictures keep their rows."""
        fits = max(1, rows // 2) * area
        self.max_pixels = fits if self.max_pixels is None else min(self.max_pixels, fits)


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device, or the host's allocator, had no room."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
