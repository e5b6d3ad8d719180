"""One network call for several trajectories, and what happens when it fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kandinsky_server.engine.network import DeviceNetwork, is_out_of_memory
from kandinsky_server.engine.report import Observer
from kandinsky_server.engine.run import Run
from kandinsky_server.errors import BackendFailed, ServingError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The part of a batch that one call served: its time, its rows, and each run's outputs or failure."""

    seconds: float
    rows: int
    shares: list[tuple[Run[Any], tuple[Tensor, ...] | ServingError]]


class Batch:
    """Runs that share a network call. Faults are met in order: less memory, another backend, fewer neighbours."""

    def __init__(
        self, network: DeviceNetwork, runs: Sequence[Run[Any]], observers: Sequence[Observer]
    ) -> None:
        self.network = network
        self.runs = runs
        self.observers = observers

    def execute(self) -> Iterator[Outcome]:
        """Calls the network once, or several times when it fails; every run is in exactly one outcome."""
        rows = sum(run.trajectory.rows for run in self.runs)
        try:
            inputs = self._inputs()
        except Exception as error:
            # A trajectory's fault, not the backend's.
            yield from self._isolate(error)
            return
        started = time.monotonic()
        try:
            outputs = self.network.call(*inputs)
            if self.network.fallback is not None and self.network.returns is not None:
                self.network.returns.check(inputs[0], outputs)
            if any(len(output) != rows for output in outputs):
                raise RuntimeError(f"it returned {[len(output) for output in outputs]} rows for {rows}")
            if outputs[0].is_cuda:
                torch.cuda.synchronize(outputs[0].device)
        except Exception as error:
            yield from self._recover(error, rows)
            return
        seconds = time.monotonic() - started
        yield Outcome(seconds, rows, list(self._split(outputs)))

    def _inputs(self) -> tuple[Tensor, ...]:
        parts = [run.trajectory.inputs() for run in self.runs]
        if len(parts) == 1:
            return parts[0]
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    def _split(self, outputs: tuple[Tensor, ...]) -> Iterator[tuple[Run[Any], tuple[Tensor, ...]]]:
        first = 0
        for run in self.runs:
            last = first + run.trajectory.rows
            yield run, tuple(output[first:last] for output in outputs)
            first = last

    def _recover(self, error: Exception, rows: int) -> Iterator[Outcome]:
        network = self.network
        if is_out_of_memory(error):
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if len(self.runs) > 1:
                area = self.runs[0].work.key.area
                network.halve(rows, area)
                log.warning(
                    "out of memory in %s: rows capped at %d for shapes of area %d",
                    network.name,
                    network.rows_for(area),
                    area,
                )
                for observer in self.observers:
                    observer.on_out_of_memory(network.name, network.stage, rows)
                yield from self._halves()
                return
        elif network.fallback is not None:
            log.error(
                "backend %s failed in %s; eager takes over", network.backend, network.name, exc_info=error
            )
            for observer in self.observers:
                observer.on_fallback(network.name, network.stage, network.backend, type(error).__name__)
            network.call, network.fallback, network.backend = network.fallback, None, "eager"
            yield from self.execute()
            return
        yield from self._isolate(error)

    def _isolate(self, error: Exception) -> Iterator[Outcome]:
        """Halves the batch until the run that fails is alone."""
        if len(self.runs) > 1:
            yield from self._halves()
            return
        (run,) = self.runs
        log.error(
            "network %s failed",
            self.network.name,
            exc_info=error,
            extra={"request_id": run.ticket.request_id},
        )
        yield Outcome(0.0, 0, [(run, self._failure(error))])

    def _halves(self) -> Iterator[Outcome]:
        middle = len(self.runs) // 2
        for part in (self.runs[:middle], self.runs[middle:]):
            yield from Batch(self.network, part, self.observers).execute()

    def _failure(self, error: Exception) -> ServingError:
        if is_out_of_memory(error):
            return BackendFailed(
                "the device has no memory left for even one image of this size; ask for a smaller one"
            )
        return BackendFailed(f"the {self.network.stage} network failed; the server's log has the details")
