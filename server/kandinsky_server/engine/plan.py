"""What an admitted request will still submit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kandinsky_server.engine.load import Load
from kandinsky_server.engine.trajectory import LaneKey


class Plan:
    """Loads that have not begun, each with what follows it. Iterates over those that nothing has to precede any more."""

    def __init__(self) -> None:
        self._loads: list[Load] = []

    def __iter__(self) -> Iterator[Load]:
        return iter(self._loads)

    def add(self, loads: Iterable[Load]) -> None:
        """Puts in what may begin now."""
        self._loads.extend(loads)

    def begin(self, lane: LaneKey, rows: int, steps: int) -> tuple[Load, ...]:
        """Takes a load out and returns what may begin when it has ended; nothing, when it was not planned."""
        for load in self._loads:
            if (load.lane, load.rows, load.steps) == (lane, rows, steps):
                self._loads.remove(load)
                return load.then
        return ()

    def forgo(self, network: str) -> tuple[Load, ...]:
        """Takes out steps of a network that another request does, and what was to precede them; returns what follows."""
        for first in self._loads:
            for load in first.all():
                if load.lane.network == network:
                    self._loads.remove(first)
                    return load.then
        return ()
