"""One request as the engine sees it: who, how urgent, and whether it still matters."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from kandinsky_server.engine.span import Span
from kandinsky_server.engine.work import Plan
from kandinsky_server.errors import DeadlineExceeded, RequestCancelled, ServingError

LOW, NORMAL, HIGH = 0, 1, 2

Precedence = tuple[int, float, float]
"""Sorts who goes first: priority class, earliest deadline, arrival."""


@dataclass(eq=False)
class Ticket:
    """Shared by all trajectories of one request. Times are ``time.monotonic()`` seconds.

    ``share`` (0 to 1) is what its client may hold of the queue, None for the server's default; ``places`` is what the
    request itself holds, and ``planned`` its work that has not begun. ``connection`` tells clients without a name apart.
    ``deadline`` is the client's, ``life_ends`` when the server ends the request. ``unread`` counts its results that wait
    until earlier ones have been read. ``waited`` is the most seconds that one of its runs has been without a slot;
    ``spans`` is where its time went. ``resumable`` says that its client takes checkpoints and
    goes on with them elsewhere.
    """

    request_id: str = ""
    rpc: str = ""
    client: str = ""
    connection: str = ""
    share: float | None = None
    priority: int = NORMAL
    deadline: float | None = None
    life_ends: float | None = None
    places: int = 0
    planned: Plan = field(default_factory=Plan)
    arrival: float = field(default_factory=time.monotonic)
    unread: int = 0
    waited: float = 0.0
    failure: ServingError | None = None
    spans: list[Span] = field(default_factory=list)
    resumable: bool = False

    @property
    def holder(self) -> str:
        """Whose places and bytes the request holds: its client's, or its connection's where clients have no names."""
        return self.client or self.connection

    @property
    def holder_name(self) -> str:
        """The holder in a sentence to its client."""
        return f"client {self.client!r}" if self.client else "this connection"

    @property
    def precedence(self) -> Precedence:
        """Where it stands among others."""
        return (-self.priority, math.inf if self.deadline is None else self.deadline, self.arrival)

    def cancel(self, failure: ServingError | None = None) -> None:
        """Ends the request: its trajectories leave their lanes before the next step. Safe from any thread."""
        self.failure = self.failure or failure or RequestCancelled("the client went away")

    def check_expired(self, now: float) -> ServingError | None:
        """Why the request should not go on, or None."""
        if self.failure is None and self.deadline is not None and now >= self.deadline:
            self.failure = DeadlineExceeded("the deadline passed before the result was ready")
        return self.failure
