"""What the real server's metrics say while a case runs."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from typing import Self

INTERVAL_SECONDS = 0.02
STEPS = re.compile(r"^kandinsky_steps_total\{[^}]*\} (\S+)$", re.MULTILINE)
QUEUE = re.compile(r"^kandinsky_queue_length (\S+)$", re.MULTILINE)


class StepWatch:
    """Use as a context manager around a case: it looks at the counters again and again.

    Args:
        port: Of the metrics.
    """

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._first = self._last = self._look()
        self._changed = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def steps(self) -> float:
        """Denoising steps taken since the beginning."""
        return self._last - self._first

    @property
    def still_seconds(self) -> float:
        """How long no step has been taken."""
        return time.monotonic() - self._changed

    def queue_length(self) -> float:
        """How many trajectories wait or run now."""
        (length,) = QUEUE.findall(self._page())
        return float(length)

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL_SECONDS):
            now = self._look()
            if now != self._last:
                self._last, self._changed = now, time.monotonic()

    def _look(self) -> float:
        return sum(map(float, STEPS.findall(self._page())))

    def _page(self) -> str:
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            return str(answer.read().decode())
