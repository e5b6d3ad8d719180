"""Something that the engine's thread does between two steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Errand:
    """``action`` takes no longer than a few steps do, since everybody waits for it; ``name`` is for the watchdog.

    One that ``prepares`` a network may take as long as preparing one at the start; others as long as a short step.
    """

    name: str
    action: Callable[[], object]
    prepares: bool = False
