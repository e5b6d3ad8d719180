"""How much a server has to do, as balancers and autoscalers ask it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Requests that hold places: those that ``wait`` for their first step, those that ``run``.

    ``queued_seconds`` is how long all that was taken in would last if nothing more came, by the step times measured here.
    """

    waiting: int = 0
    running: int = 0
    queued_seconds: float = 0.0
