"""Whom a request finds when it arrives, on the average: who leaves is replaced while this goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from kandinsky_server.engine.load import Load
from kandinsky_server.engine.trajectory import LaneKey

SMOOTHING = 0.1
"""Weight of the newest arrival: about the last twenty count."""

FEW_ROWS = 0.01
"""A lane with less is forgotten."""


class Company:
    """Average rows of each lane, as arrivals found them; belongs to the event loop.

    A request that arrives at an idle server finds nobody, so a client that calls again and again is no company to itself.
    """

    def __init__(self) -> None:
        self._rows: dict[LaneKey, float] = {}

    @property
    def rows(self) -> Mapping[LaneKey, float]:
        """By lane."""
        return self._rows

    def observe(self, loads: Iterable[Load]) -> None:
        """Takes in what an arrival found."""
        found: Counter[LaneKey] = Counter()
        for load in loads:
            found[load.lane] += load.rows
        known = {lane: self._rows.get(lane, 0.0) for lane in self._rows.keys() | found.keys()}
        averages = {lane: rows + SMOOTHING * (found[lane] - rows) for lane, rows in known.items()}
        self._rows = {lane: rows for lane, rows in averages.items() if rows >= FEW_ROWS}

    def forget(self) -> None:
        """The server fell idle: what ended was not replaced."""
        self._rows = {}
