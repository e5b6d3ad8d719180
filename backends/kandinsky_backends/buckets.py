"""Which compiled row counts serve a batch: the cover of its rows that takes the least time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache


class BucketPlan:
    """Covers any number of rows with buckets, from what a call of each bucket takes.

    Where time grows with the rows, as on a CPU, ten rows are a call of 8 and one of 2; where a call costs much the
    same whatever its rows, as on a GPU, they are one call of 16, padded.

    Args:
        seconds: What a call takes, by its rows.
    """

    def __init__(self, seconds: Mapping[int, float]) -> None:
        self._seconds = dict(seconds)
        self._cheapest = cache(self._search)

    def __call__(self, rows: int) -> tuple[int, ...]:
        """The buckets to call, largest first; their sum is at least ``rows``, which is at least 1."""
        largest = max(self._seconds)
        whole = max(0, (rows - 1) // largest)
        return (largest,) * whole + self._cheapest(rows - whole * largest)[1]

    def _search(self, rows: int) -> tuple[float, tuple[int, ...]]:
        """Seconds and buckets of the cheapest cover."""
        if rows <= 0:
            return 0.0, ()
        covers = []
        for bucket, seconds in self._seconds.items():
            more, others = self._cheapest(rows - bucket)
            covers.append((seconds + more, tuple(sorted((bucket, *others), reverse=True))))
        return min(covers)
