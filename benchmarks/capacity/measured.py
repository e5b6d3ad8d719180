"""What simulations need to know of a server: its step times, and what requests have it do."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Self

from benchmarks.capacity.served import Served
from benchmarks.capacity.steps import Step, StepTable
from benchmarks.capacity.workload import Arrival, Kind, play
from benchmarks.load import Job, Material, jobs, shared_out
from benchmarks.process import ServerProcess

KEPT = Path("benchmarks/capacity.json")
"""Where a measurement is kept for plans."""

KINDS = 10
"""How many different requests there are: `load.RPCS`' of ten."""

CLIENTS = (1, 2, 4, 8)
"""How many ask at once while step times are measured, so that batches of all sizes are."""

_seeds = count(1_000_000)


@dataclass(frozen=True)
class Measured:
    """``rate`` is the most requests a second that were answered, by eight clients."""

    table: StepTable
    kinds: tuple[Kind, ...]
    max_rows: int
    rate: float

    @property
    def images_per_request(self) -> float:
        """On the average."""
        return sum(kind.images for kind in self.kinds) / len(self.kinds)

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        """With the ``facts`` of the machine."""
        kinds = [kind.to_json() for kind in self.kinds]
        whole = {"table": self.table.to_json(), "kinds": kinds, "max_rows": self.max_rows, "rate": self.rate}
        path.write_text(json.dumps({"machine": facts, **whole}) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote."""
        kept = json.loads(path.read_text())
        kinds = tuple(map(Kind.from_json, kept["kinds"]))
        return cls(StepTable.from_json(kept["table"]), kinds, kept["max_rows"], kept["rate"])


class Subject:
    """A recorded server and what is asked of it. ``file`` has its calls."""

    def __init__(self, server: ServerProcess, file: Path, max_rows: int) -> None:
        self.server, self._file, self._max_rows = server, file, max_rows
        self._jobs = jobs(KINDS)
        with server.client() as client:
            self._material = Material.of(client)

    def measure(self, requests: int) -> Measured:
        """``requests`` of each number of clients; then each kind alone."""
        before, rate = len(Step.read(self._file)), 0.0
        for clients in CLIENTS:
            work = [self._jobs[place % KINDS] for place in range(requests)]
            began = time.monotonic()
            shared_out(self.server, work, lambda client, job: self._ask(client, job), clients)
            rate = max(rate, requests / (time.monotonic() - began))
        kinds = tuple(self._kind(job) for job in self._jobs)
        return Measured(StepTable.of(Step.read(self._file)[before:]), kinds, self._max_rows, rate)

    def serve(self, trace: Sequence[Arrival]) -> tuple[Served, StepTable]:
        """The real server's answers to what comes when the trace says, and what its steps took meanwhile."""
        before = len(Step.read(self._file))
        with self.server.client() as client:
            played = play(trace, lambda _, arrival: self._ask(client, self._jobs[arrival.kind]))
        latencies, ends = zip(*played, strict=True)
        images = sum(self._jobs[arrival.kind].rpc != "prior" for arrival in trace)
        served = Served(list(latencies), images, max(ends) - trace[0].when)
        return served, StepTable.of(Step.read(self._file)[before:])

    def _kind(self, job: Job) -> Kind:
        """Twice, of which the quicker tells what it takes outside the engine."""
        tries = []
        for _ in range(2):
            before, began = len(Step.read(self._file)), time.monotonic()
            with self.server.client() as client:
                client.ready()
                began = time.monotonic()
                images = self._ask(client, job)
            seconds = time.monotonic() - began
            tries.append(Kind.seen(Step.read(self._file)[before:], seconds, images))
        return min(tries, key=lambda kind: kind.overhead)

    def _ask(self, client: Any, job: Job) -> int:
        return replace(job, seed=next(_seeds)).run(client, self._material)
