"""One attack: what is done, how much of it, and what the server made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Whether the server held, and what was measured, in a few words with units."""

    held: bool
    measured: str


@dataclass(frozen=True)
class Attack:
    """``size`` and ``before`` are for the table: how much is done, and what it did to commit c9b9102.

    ``run`` starts a server of its own, does the attack with bounded loops on loopback, and stops the server.
    """

    name: str
    size: str
    before: str
    run: Callable[[], Verdict]
