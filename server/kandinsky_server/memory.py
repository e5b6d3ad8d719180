"""Gives memory that was freed back to the system."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable


class Trimmer:
    """Call it when there is nothing to do; it does something every ``seconds`` at most.

    glibc keeps what was freed between what is still used, so a process stays as large as its busiest moment. Other C
    libraries have no ``malloc_trim``, and nothing happens.

    Source: malloc_trim(3)
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds
        self._trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Gives back what can be given, which takes some milliseconds."""
        if self._trim is not None and time.monotonic() - self._last >= self.seconds:
            self._trim(0)
            self._last = time.monotonic()
