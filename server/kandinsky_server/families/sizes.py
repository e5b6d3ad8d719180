"""Picture sizes that networks are prepared for."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        """As `parse_size` reads it."""
        return f"{self.height}x{self.width}"


def parse_size(text: str) -> Size:
    """Reads a height and a width with an x between them; raises ValueError for anything else."""
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text.strip())
    if match is None:
        raise ValueError(f"must be heights x widths in pixels, such as 512x512,768x768, not {text.strip()!r}")
    return Size(int(match[1]), int(match[2]))
