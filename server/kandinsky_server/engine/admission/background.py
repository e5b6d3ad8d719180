"""Background load: for each batch key, a moving average of the rows that others occupy when a request arrives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.work import Work

SMOOTHING = 0.1
"""Weight of the newest arrival: about the last twenty count."""

FEW_ROWS = 0.01
"""A lane with less is forgotten."""


class BackgroundLoad:
    """Average rows of each lane, as arrivals found them; belongs to the event loop.

    A request that arrives at an idle server finds nobody, so one client that calls in a loop does not raise its own
    forecast.
    """

    def __init__(self) -> None:
        self._rows: dict[BatchKey, float] = {}

    @property
    def rows(self) -> Mapping[BatchKey, float]:
        """By lane."""
        return self._rows

    def observe(self, works: Iterable[Work[Any]]) -> None:
        """Takes in what an arrival found at work, or ready for it."""
        found: Counter[BatchKey] = Counter()
        for work in works:
            found[work.key] += work.rows
        known = {lane: self._rows.get(lane, 0.0) for lane in self._rows.keys() | found.keys()}
        averages = {lane: rows + SMOOTHING * (found[lane] - rows) for lane, rows in known.items()}
        self._rows = {lane: rows for lane, rows in averages.items() if rows >= FEW_ROWS}

    def forget(self) -> None:
        """The server fell idle: what ended was not replaced."""
        self._rows = {}
