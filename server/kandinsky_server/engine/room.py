"""How much of a network fits on the device: less after it ran out of memory, and more again after a quiet time."""

from __future__ import annotations

QUIET_SECONDS = 60.0
"""Without running out of memory, until twice as much is tried."""

MOST_SECONDS = 3600.0
"""A trial that fails doubles the time until the next one, up to this."""


class Room:
    """``pixels``, rows times area, are the most of one call while memory is short; None when it is not.

    Times are ``time.monotonic()`` seconds. Belongs to the engine's thread.
    """

    def __init__(self) -> None:
        self.pixels: int | None = None
        self._quiet = QUIET_SECONDS
        self._since = 0.0
        self._trying = False

    def shrink(self, pixels: int, now: float) -> None:
        """More than ``pixels`` did not fit."""
        self.pixels = pixels if self.pixels is None else min(self.pixels, pixels)
        if self._trying:
            self._quiet = min(2 * self._quiet, MOST_SECONDS)
        self._trying, self._since = False, now

    def grow(self, most: int, now: float) -> bool:
        """Tries twice as much, up to ``most``, when it has been quiet for long enough; returns whether it does."""
        if now - self._since < self._quiet:
            return False
        if self.pixels is None:
            self._quiet, self._trying = QUIET_SECONDS, False
            return False
        self.pixels = 2 * self.pixels if 2 * self.pixels < most else None
        self._trying, self._since = True, now
        return True
