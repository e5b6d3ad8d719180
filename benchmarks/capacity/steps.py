"""Step times of a real server, by lane and rows, as a table that simulations draw from."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Self

from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.trajectory import BatchKey

BUSY_GAP_SECONDS = 0.01
"""Between two steps, at most, where the engine had not run out of work."""


@dataclass(frozen=True)
class Step:
    """One network call. ``seconds`` is the whole step, ``ended`` by the monotonic clock."""

    lane: BatchKey
    rows: int
    seconds: float
    ended: float

    @classmethod
    def read(cls, path: Path) -> list[Step]:
        """What `recorded` has written so far."""
        lines = (json.loads(line) for line in path.read_text().splitlines())
        return [
            cls(BatchKey(each["network"], tuple(each["shape"])), each["rows"], each["seconds"], each["ended"])
            for each in lines
        ]


@dataclass
class StepTable:
    """``medians`` by lane and rows; ``spread`` is what steps took over their median; ``gap`` the seconds between two."""

    medians: dict[BatchKey, dict[int, float]]
    spread: list[float]
    gap: float
    _known: dict[tuple[BatchKey, int], float] = field(default_factory=dict)

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Self:
        """Of consecutive steps."""
        steps = list(steps)
        seconds: dict[tuple[BatchKey, int], list[float]] = defaultdict(list)
        for step in steps:
            seconds[step.lane, step.rows].append(step.seconds)
        medians: dict[BatchKey, dict[int, float]] = defaultdict(dict)
        for (lane, rows), those in seconds.items():
            medians[lane][rows] = median(those)
        spread = sorted(step.seconds / medians[step.lane][step.rows] for step in steps)
        gaps = [after.ended - before.ended - after.seconds for before, after in pairwise(steps)]
        busy = [gap for gap in gaps if 0 <= gap < BUSY_GAP_SECONDS]
        return cls(dict(medians), spread, median(busy) if busy else 0.0)

    def draw(self, lane: BatchKey, rows: int, chance: random.Random) -> float:
        """Seconds from one step to the next. What was not measured is told by the engine's own cost model."""
        if (lane, rows) not in self._known:
            self._known[lane, rows] = self._cost_model().step_seconds(lane, rows)
        return self._known[lane, rows] * chance.choice(self.spread) + self.gap

    def _cost_model(self) -> CostModel:
        model = CostModel()
        for lane, by_rows in self.medians.items():
            for rows, seconds in by_rows.items():
                model.observe(lane, rows, seconds)
        return model

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        lanes = [
            {"network": lane.network, "shape": lane.shape, "seconds_by_rows": by_rows}
            for lane, by_rows in self.medians.items()
        ]
        # A hundred points of the distribution are enough.
        points = [self.spread[place * (len(self.spread) - 1) // 99] for place in range(100)]
        return {"lanes": lanes, "spread": points, "gap_seconds": self.gap}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """Of a file."""
        medians = {
            BatchKey(lane["network"], tuple(lane["shape"])): {
                int(rows): seconds for rows, seconds in lane["seconds_by_rows"].items()
            }
            for lane in kept["lanes"]
        }
        return cls(medians, kept["spread"], kept["gap_seconds"])
