"""The same requests again and again: their results must stay what they were."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.exchange import Answer
from benchmarks.mixture import Small

SEEDS = 50
TOLERANCE = 1e-3
"""Of pixels in [0, 1] and of embeddings: another batch may round otherwise."""

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Repeats:
    """Keeps what each seed gave first; counts the answers that differ, and by how much at most."""

    def __init__(self) -> None:
        self.compared = 0
        self.changed = 0
        self.largest = 0.0
        self.checksums: list[str] = []
        self._first: dict[int, Floats] = {}
        self._comparing = threading.Lock()

    def compare(self, seed: int, answer: Answer) -> None:
        """Holds an answer to the first of its seed, which it becomes when there is none."""
        with self._comparing:
            first = self._first.setdefault(seed, answer.floats)
            same_size = first.size == answer.floats.size > 0
            difference = float(np.abs(first - answer.floats).max()) if same_size else float("inf")
            self.compared += 1
            self.changed += not difference <= TOLERANCE
            self.largest = max(self.largest, difference)

    def check(self, ask: Callable[[Small], Answer], requests: list[Small]) -> None:
        """Asks one after the other, while nobody else does, so that every bit is the same; keeps their checksum."""
        digest = hashlib.sha256()
        for request in requests:
            digest.update(ask(request).floats.tobytes())
        self.checksums.append(digest.hexdigest())
