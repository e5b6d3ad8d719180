"""Collects what is wrong with a request, so that the client hears of everything at once."""

from __future__ import annotations

import math

from kandinsky_server.errors import InvalidField, Violation

MOST = 20
"""Violations that a client is told of; it is told how many more there are."""


class Violations:
    """Checks of single fields; ``check`` raises when any failed. Values pass through unchanged."""

    def __init__(self) -> None:
        self.found: list[Violation] = []
        self.unnamed = 0

    def add(self, field: str, description: str) -> None:
        """Notes a violation."""
        if len(self.found) < MOST:
            self.found.append(Violation(field, description))
        else:
            self.unnamed += 1

    def integer(
        self, field: str, value: int, low: int, high: int, advised: int | None = None, verb: str = "be"
    ) -> int:
        """Notes a violation unless ``low`` <= ``value`` <= ``high``; returns a value within the range.

        What is told ends at ``advised``, where another limit would refuse more than that. ``verb`` is "hold" of a field
        whose ``value`` is how many it has.
        """
        if low <= value <= high:
            return value
        self.add(field, f"must {verb} {low} to {high if advised is None else max(low, advised)}, not {value}")
        return low

    def number(self, field: str, value: float, low: float, high: float, above: bool = False) -> float:
        """The same for finite floats; ``above`` excludes ``low`` itself."""
        if math.isfinite(value) and low <= value <= high and not (above and value == low):
            return value
        self.add(field, f"must be {'above ' if above else ''}{low:g} to {high:g}, not {value:g}")
        return high

    def check(self) -> None:
        """Raises InvalidField with everything found."""
        if self.found:
            raise InvalidField(self.found, self.unnamed)
