"""A network of a stage, with what a backend needs to know of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from kandinsky_backends.base import BatchShape, Role
from torch import nn

from kandinsky_server.engine.network import Sample
from kandinsky_server.engine.trajectory import BatchKey

ShapeOf = Callable[[int], BatchShape]


@dataclass(frozen=True)
class NetworkSpec:
    """A network to prepare; each of ``shapes`` makes an input shape for a number of rows, by picture size.

    ``lane`` is that of the first, which is measured. ``returns`` tells, by one row of its first input, that of each
    of its outputs.

    ``steps``: whether it is called once per denoising step, so that large batches matter.
    """

    name: str
    role: Role
    module: nn.Module
    lane: BatchKey
    shapes: tuple[ShapeOf, ...]
    returns: Callable[[Sample], tuple[Sample, ...]]
    steps: bool = False

    def warm_shapes(self, most: int) -> list[BatchShape]:
        """What it is warmed up with and held to eager on: one row, and the most that batches have.

        Networks that are called once a request are seldom called with more than two. ``most`` is for the first shape;
        of larger pictures there are fewer.
        """
        warm = []
        for shape in self.shapes:
            rows = max(1, min(most, most * _numbers(self.shapes[0]) // _numbers(shape)))
            warm += [shape(1), shape(rows if self.steps else min(rows, 2))]
        return warm


def _numbers(shape: ShapeOf) -> int:
    """How many numbers a row's first input has."""
    return math.prod(shape(1).samples[0])
