"""Gives memory that was freed back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Callable

WORK_SECONDS = 0.05
"""Less CPU time than that, and the process has done nothing that is worth looking after."""


class Trimmer:
    """Every ``seconds``, when nothing takes a step and something was done since the last time.

    glibc keeps what was freed between what is still used, so a process stays as large as its busiest moment. Other C
    libraries have no ``malloc_trim``, and nothing happens.

    Source: malloc_trim(3)
    """

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds
        self._trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._done = 0.0

    async def run(self, resting: Callable[[], bool]) -> None:
        """Goes on until it is cancelled."""
        while self._trim is not None:
            await asyncio.sleep(self.seconds)
            if resting() and time.process_time() - self._done > WORK_SECONDS:
                # Takes some milliseconds, and other threads run meanwhile.
                await asyncio.to_thread(self._trim, 0)
                self._done = time.process_time()
