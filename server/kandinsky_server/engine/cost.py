"""How long a step takes: a moving average of what was measured, by lane and rows."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

from kandinsky_server.engine.trajectory import BatchKey

SMOOTHING = 0.2
"""Weight of the newest measurement: about the last ten count."""

OUTLIER = 4.0
"""What takes so many times what was expected counts only when it happens twice running: a machine that paused does not
make every later step slow."""

BEST_RISES = 1.05
"""So much the best time rises at every step, lest one lucky step count for ever."""

CHANCE_SECONDS = 10.0
"""So long a step time is believed that was measured once."""

UNMEASURED_SECONDS = 0.05
"""Assumed for a step of a network that has never run."""


@dataclass
class _Measured:
    """Steps of one lane and number of rows: their average, the best of late, how many, and when the newest was."""

    seconds: float
    best: float
    count: int = 1
    when: float = field(default_factory=time.monotonic)

    def add(self, seconds: float) -> None:
        """The first one is replaced by the second if that was much quicker: it paid for warm-up."""
        self.best = min(seconds, self.best * BEST_RISES)
        self.seconds += SMOOTHING * (seconds - self.seconds)
        if seconds < self.seconds / 2:
            self.seconds = seconds
        self.count += 1
        self.when = time.monotonic()

    @property
    def hoped(self) -> float:
        """The least that the next one may take; nothing, where the only one may have been chance."""
        old = time.monotonic() - self.when > CHANCE_SECONDS
        return 0.0 if self.count == 1 and old else self.best


class CostModel:
    """Predicts step seconds. Written by the engine's thread, read by any."""

    def __init__(self) -> None:
        self._measured: dict[BatchKey, dict[int, _Measured]] = defaultdict(dict)
        self._outliers: dict[tuple[BatchKey, int], float] = {}
        self._lock = threading.Lock()

    def observe(self, lane: BatchKey, rows: int, seconds: float) -> None:
        """Takes in one measured step."""
        with self._lock:
            expected = self._expected(lane, rows, hopeful=False)
            other = self._outliers.pop((lane, rows), None)
            if expected is not None and seconds > OUTLIER * expected:
                if other is None:
                    self._outliers[lane, rows] = seconds
                else:
                    self._believe(lane, rows, min(other, seconds))
            elif rows in self._measured[lane]:
                self._measured[lane][rows].add(seconds)
            else:
                self._measured[lane][rows] = _Measured(seconds, seconds)

    def _believe(self, lane: BatchKey, rows: int, seconds: float) -> None:
        """Steps have become slow; that they were quick is remembered."""
        known = self._measured[lane].get(rows)
        best = seconds if known is None else known.best * BEST_RISES
        self._measured[lane][rows] = _Measured(seconds, best, count=2)

    def measured(self, lane: BatchKey) -> bool:
        """Whether any step of this lane has been measured."""
        with self._lock:
            return bool(self._measured.get(lane))

    def forecast(self, lane: BatchKey, rows: float) -> float | None:
        """The predicted seconds of a step, or None where no step of the network was ever measured."""
        with self._lock:
            return self._expected(lane, rows, hopeful=False)

    def step_seconds(self, lane: BatchKey, rows: float, hopeful: bool = False) -> float:
        """The predicted seconds of one step of ``rows`` rows, which may be an average.

        Between measured row counts it interpolates linearly; outside it scales the overhead-free half of the nearest.
        A lane never seen takes the nearest lane of the same network, scaled by area. With ``hopeful`` it is the least
        that a step may take, by the best that was measured of late.
        """
        with self._lock:
            expected = self._expected(lane, rows, hopeful)
        return UNMEASURED_SECONDS if expected is None else expected

    def _expected(self, lane: BatchKey, rows: float, hopeful: bool) -> float | None:
        known, scale = self._measured.get(lane), 1.0
        if not known:
            relatives = [
                key for key, rows_of in self._measured.items() if key.network == lane.network and rows_of
            ]
            if not relatives:
                return None
            nearest = min(relatives, key=lambda key: abs(key.area - lane.area))
            known, scale = self._measured[nearest], lane.area / nearest.area
        by_rows = {count: scale * (each.hoped if hopeful else each.seconds) for count, each in known.items()}
        return _interpolate(by_rows, rows)


def _interpolate(by_rows: dict[int, float], rows: float) -> float:
    if rows in by_rows:
        return by_rows[int(rows)]
    below = max((count for count in by_rows if count < rows), default=None)
    above = min((count for count in by_rows if count > rows), default=None)
    if below is not None and above is not None:
        share = (rows - below) / (above - below)
        return by_rows[below] + share * (by_rows[above] - by_rows[below])
    nearest = below if below is not None else above
    assert nearest is not None
    # Half of a step is taken to be fixed cost, half to grow with the rows.
    return by_rows[nearest] * (0.5 + 0.5 * rows / nearest)
