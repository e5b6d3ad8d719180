"""Something that the engine's thread does between two steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Errand:
    """``action`` takes no longer than a few steps do, since everybody waits for it; ``name`` is for the watchdog."""

    name: str
    action: Callable[[], None]
