"""One request as the engine sees it: who, how urgent, and whether it still matters."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from kandinsky_server.engine.phase import Phase
from kandinsky_server.engine.plan import Plan
from kandinsky_server.errors import DeadlineExceeded, RequestCancelled, ServingError

LOW, NORMAL, HIGH = 0, 1, 2

Precedence = tuple[int, float, float]
"""Sorts who goes first: priority class, earliest deadline, arrival."""


@dataclass(eq=False)
class Ticket:
    """Shared by all trajectories of one request. Times are ``time.monotonic()`` seconds.

    ``share`` (0 to 1) is what its client may hold of the queue, ``places`` what the request itself holds; ``planned`` is
    its work not yet submitted. ``waited`` is the most seconds that one of its runs has been without a seat; ``phases``
    is where its time went.
    """

    request_id: str = ""
    rpc: str = ""
    client: str = ""
    share: float = 1.0
    priority: int = NORMAL
    deadline: float | None = None
    places: int = 0
    planned: Plan = field(default_factory=Plan)
    arrival: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    failure: ServingError | None = None
    phases: list[Phase] = field(default_factory=list)

    @property
    def precedence(self) -> Precedence:
        """Where it stands among others."""
        return (-self.priority, math.inf if self.deadline is None else self.deadline, self.arrival)

    def cancel(self, failure: ServingError | None = None) -> None:
        """Ends the request: its trajectories leave their lanes before the next step. Safe from any thread."""
        self.failure = self.failure or failure or RequestCancelled("the client went away")

    def verdict(self, now: float) -> ServingError | None:
        """Why the request should not go on, or None."""
        if self.failure is None and self.deadline is not None and now >= self.deadline:
            self.failure = DeadlineExceeded("the deadline passed before the result was ready")
        return self.failure
