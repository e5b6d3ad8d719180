"""A stretch of a request's time, for its trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """From ``start`` to ``end``, in ``time.monotonic()`` seconds."""

    name: str
    start: float
    end: float
    attributes: Mapping[str, str | int]
