"""What the engine tells whoever watches it: metrics, tests, benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.trajectory import BatchKey


@dataclass(frozen=True)
class StepReport:
    """One network call. ``network_seconds`` is the call alone, by the device's clock where it has one; ``seconds`` the
    whole step with everything around it, as the thread that waits sees it.

    ``members`` names each trajectory's request and the step it took, in batch order.
    """

    lane: BatchKey
    stage: str
    backend: str
    rows: int
    network_seconds: float
    seconds: float
    members: tuple[tuple[Ticket, int], ...]


class Observer(Protocol):
    """Watches the engine. Called on the engine's thread, so it must be quick and must not raise."""

    def on_step(self, report: StepReport) -> None:
        """A network call ended well and its trajectories have advanced."""
        ...

    def on_fallback(self, network: str, stage: str, backend: str, reason: str) -> None:
        """A backend raised and was replaced by eager."""
        ...

    def on_out_of_memory(self, network: str, stage: str, rows: int) -> None:
        """The device had no room for a batch of ``rows``; the cap was lowered."""
        ...

    def on_unprepared(self, network: str) -> None:
        """A backend served a call eagerly, since it has not prepared the network for its shapes."""
        ...
