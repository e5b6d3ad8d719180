"""What came of a load, simulated or real."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Served:
    """``latencies`` in order of arrival; ``seconds`` are from the first arrival to the last end."""

    latencies: list[float]
    images: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Over the whole of it."""
        return self.images / self.seconds

    def percentile(self, share: float) -> float:
        """Of the latencies: 0.5 is the median. The smallest that so many do not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
