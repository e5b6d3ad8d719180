"""One line of the table: what was measured, and what it must reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Bar:
    """A limit that the measured value must reach, or must not exceed."""

    limit: float
    at_least: bool

    def holds(self, value: float) -> bool:
        """Whether ``value`` passes."""
        return value >= self.limit if self.at_least else value <= self.limit


def at_least(limit: float) -> Bar:
    """More is better."""
    return Bar(limit, at_least=True)


def at_most(limit: float) -> Bar:
    """Less is better."""
    return Bar(limit, at_least=False)


@dataclass(frozen=True)
class Figure:
    """The median of ``samples`` is what counts. No samples: it could not be measured, and ``note`` says why.

    ``bar`` None is a figure that is only told. ``unit`` is written after the number; ``command`` makes the figure again.
    """

    name: str
    bar: Bar | None
    samples: Sequence[float]
    unit: str
    command: str
    note: str = ""

    @property
    def measured(self) -> float | None:
        """The median."""
        return median(self.samples) if self.samples else None

    @property
    def verdict(self) -> str:
        """pass, fail, told (there is no bar) or skipped."""
        if self.measured is None:
            return "skipped"
        if self.bar is None:
            return "told"
        return "pass" if self.bar.holds(self.measured) else "fail"
