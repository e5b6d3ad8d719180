"""Which network's weights are on the device."""

from __future__ import annotations

from typing import Protocol


class Residency(Protocol):
    """Moves weights when they do not all fit on the device; ``resident`` names the network that is there."""

    resident: str | None

    def ensure(self, name: str) -> None:
        """Brings a network to the device."""
        ...
