"""How long a step takes: a moving average of what was measured, by lane and rows."""

from __future__ import annotations

import threading
from collections import defaultdict

from kandinsky_server.engine.trajectory import LaneKey

SMOOTHING = 0.2
"""Weight of the newest measurement: about the last ten count."""

UNMEASURED_SECONDS = 0.05
"""Assumed for a step of a network that has never run."""


class CostModel:
    """Predicts step seconds. Written by the engine's thread, read by any."""

    def __init__(self) -> None:
        self._seconds: dict[LaneKey, dict[int, float]] = defaultdict(dict)
        self._lock = threading.Lock()

    def observe(self, lane: LaneKey, rows: int, seconds: float) -> None:
        """Takes in one measured step. The first one of its kind is replaced by the second: it paid for warm-up."""
        with self._lock:
            by_rows = self._seconds[lane]
            known = by_rows.get(rows)
            by_rows[rows] = seconds if known is None else known + SMOOTHING * (seconds - known)
            if known is not None and seconds < known / 2:
                by_rows[rows] = seconds

    def measured(self, lane: LaneKey) -> bool:
        """Whether any step of this lane has been measured."""
        with self._lock:
            return bool(self._seconds.get(lane))

    def forecast(self, lane: LaneKey, rows: float) -> float | None:
        """The predicted seconds of a step, or None where no step of the network was ever measured."""
        with self._lock:
            known = any(rows and key.network == lane.network for key, rows in self._seconds.items())
        return self.step_seconds(lane, rows) if known else None

    def step_seconds(self, lane: LaneKey, rows: float) -> float:
        """The predicted seconds of one step of ``rows`` rows, which may be an average.

        Between measured row counts it interpolates linearly; outside it scales the overhead-free half of the nearest.
        A lane never seen takes the nearest lane of the same network, scaled by area.
        """
        with self._lock:
            by_rows = dict(self._seconds.get(lane, {}))
            if not by_rows:
                by_rows = self._borrow(lane)
        if not by_rows:
            return UNMEASURED_SECONDS
        return _interpolate(by_rows, rows)

    def _borrow(self, lane: LaneKey) -> dict[int, float]:
        relatives = [
            (key, rows) for key, rows in self._seconds.items() if key.network == lane.network and rows
        ]
        if not relatives:
            return {}
        key, rows = min(relatives, key=lambda item: abs(_area(item[0]) - _area(lane)))
        scale = _area(lane) / _area(key)
        return {count: seconds * scale for count, seconds in rows.items()}


def _area(lane: LaneKey) -> int:
    area = 1
    for side in lane.shape:
        area *= side
    return area


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
