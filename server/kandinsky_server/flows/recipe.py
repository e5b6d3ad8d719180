"""How a request of one kind is served: its work, said once, and the course that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from kandinsky_server.engine.work import Work
from kandinsky_server.errors import Violation
from kandinsky_server.flows.requests import StreamOptions
from kandinsky_server.flows.session import Session

COUNT = "sampling.image_count"
"""The field that says how many results each prompt, pair or weight vector makes."""


class Recipe(Protocol):
    """Made of one request, as the prior cache stands then. ``seed`` is the first result's."""

    stream_options: StreamOptions
    seed: int

    @property
    def works(self) -> Sequence[Work[Any]]:
        """All that the engine will have to do, in order. Admission and Estimate read it, ``serve`` runs it."""
        ...

    def ask_less(self, allowed: int) -> list[Violation]:
        """The fields to change, and to what, so that it needs at most ``allowed`` places, which are 1 or more."""
        ...

    async def serve(self, session: Session) -> None:
        """Does the work and posts each result as soon as it is finished."""
        ...


def fewer(count: int, field: str, sources: int, places: int, allowed: int) -> list[Violation]:
    """What to ask less of where each of ``sources`` makes ``count`` results, which take so many ``places`` each."""
    most = allowed // (sources * places)
    if most:
        return [Violation(COUNT, f"must be 1 to {most}")]
    found = [Violation(COUNT, "must be 1 to 1")] if count > 1 else []
    return [*found, Violation(field, f"send 1 to {allowed // places} at once")]
