"""What clients leave behind in a server: nothing, once they are gone."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Self

from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually

POOLS = ("images", "asyncio", "ThreadPoolExecutor")
"""Threads that are made when there is work and kept for more of it; their number is bounded."""


@dataclass(frozen=True)
class Traces:
    """Places in the queue, trajectories, requests being served, threads outside pools, and open files."""

    tickets: int
    runs: int
    in_flight: float
    threads: int
    files: int

    @classmethod
    def of(cls, server: RunningServer) -> Self:
        app = server.app
        gauges = app.metrics.in_flight.collect()
        return cls(
            len(app.admission.tickets),
            len(app.engine.active),
            sum(sample.value for gauge in gauges for sample in gauge.samples),
            sum(not thread.name.startswith(POOLS) for thread in threading.enumerate()),
            len(os.listdir("/proc/self/fd")),
        )

    def left_by_nobody(self, server: RunningServer) -> None:
        """Returns once the server holds no more of anything than it did."""

        def gone() -> bool:
            now = Traces.of(server)
            return all(getattr(now, name) <= getattr(self, name) for name in Traces.__dataclass_fields__)

        try:
            eventually(gone)
        finally:
            assert gone(), f"there were {self} and are {Traces.of(server)}"
