"""One network call for several trajectories, and what happens when it fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from kandinsky_backends.device_errors import drop_frames, is_fatal, is_out_of_memory
from torch import Tensor

from kandinsky_server.engine.device import Device
from kandinsky_server.engine.network import Call, DeviceNetwork
from kandinsky_server.engine.report import Observer
from kandinsky_server.engine.run import Run
from kandinsky_server.errors import BackendFailed, ServingError

NO_MEMORY = "the device has no memory left for even one image of this size; ask for a smaller one"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The part of a batch that one call served: its rows, and each run's outputs or failure.

    ``span`` are the device's marks before and after the call, None when it failed. The device may not have come to them.
    """

    rows: int
    shares: list[tuple[Run[Any], tuple[Tensor, ...] | ServingError]]
    span: tuple[Any, Any] | None = None


@dataclass(frozen=True)
class Fault:
    """Why there was no call: ``error`` is the network's, or, unless ``called``, a trajectory's that gave no inputs."""

    error: Exception
    called: bool


class Batch:
    """Runs that share a network call. Faults are met in order: less memory, another backend, fewer neighbours.

    Without memory for even one run, the backend gives back what it holds.
    """

    def __init__(
        self,
        network: DeviceNetwork,
        runs: Sequence[Run[Any]],
        observers: Sequence[Observer],
        device: Device[Any],
    ) -> None:
        self.network = network
        self.runs = runs
        self.observers = observers
        self.device = device
        self.rows = sum(run.trajectory.rows for run in runs)
        self._released = False

    def execute(self) -> Iterator[Outcome]:
        """Calls the network once, or several times when it fails; every run is in exactly one outcome.

        Raises what is fatal to the device, as it is.
        """
        found = self._call()
        if isinstance(found, Outcome):
            yield found
        else:
            yield from self._recover(found)

    def _call(self) -> Outcome | Fault:
        """Launches the call and waits for nothing."""
        called = False
        try:
            inputs = self._inputs()
            began, called = self.device.mark(), True
            outputs = self.network.call(*inputs)
            ended = self.device.mark()
            self._check(inputs[0], outputs)
            return Outcome(self.rows, list(self._split(outputs)), (began, ended))
        except Exception as error:
            if is_fatal(error):
                raise
            return Fault(error, called)

    def _check(self, first: Tensor, outputs: tuple[Tensor, ...]) -> None:
        network = self.network
        if network.fallback is not None and network.returns is not None:
            network.returns.check(first, outputs)
        if any(len(output) != self.rows for output in outputs):
            raise RuntimeError(f"it returned {[len(output) for output in outputs]} rows for {self.rows}")

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

    def _recover(self, fault: Fault) -> Iterator[Outcome]:
        """Tries again, once nothing holds the failed call's inputs and activations: not its handler, not its frames."""
        drop_frames(fault.error)
        if is_out_of_memory(fault.error):
            again = self._gives_way()
            self.device.release()
            if again:
                yield from self.execute()
                return
            if len(self.runs) > 1:
                self._shrink()
        elif fault.called and self.network.fallback is not None:
            self._fall_back(self.network.fallback, fault.error)
            yield from self.execute()
            return
        yield from self._isolate(fault.error)

    def _gives_way(self) -> bool:
        """For a run that is alone: what the backend holds between calls is given back, once. Whether it was."""
        if len(self.runs) > 1 or self._released or self.network.release is None:
            return False
        self.network.release()
        self._released = True
        return True

    def _shrink(self) -> None:
        network, area = self.network, self.runs[0].work.key.area
        network.shrink(self.rows, area, time.monotonic())
        log.warning(
            "out of memory in %s: rows capped at %d for shapes of area %d",
            network.name,
            network.rows_for(area),
            area,
        )
        for observer in self.observers:
            observer.on_out_of_memory(network.name, network.stage, self.rows)

    def _fall_back(self, eager: Call, error: Exception) -> None:
        network = self.network
        log.error("backend %s failed in %s; eager takes over", network.backend, network.name, exc_info=error)
        for observer in self.observers:
            observer.on_fallback(network.name, network.stage, network.backend, type(error).__name__)
        network.call, network.fallback, network.backend = eager, None, "eager"

    def _isolate(self, error: Exception) -> Iterator[Outcome]:
        """Halves the batch until the run that fails is alone."""
        if len(self.runs) > 1:
            middle = len(self.runs) // 2
            for part in (self.runs[:middle], self.runs[middle:]):
                yield from Batch(self.network, part, self.observers, self.device).execute()
            return
        (run,) = self.runs
        log.error(
            "network %s failed",
            self.network.name,
            exc_info=error,
            extra={"request_id": run.ticket.request_id},
        )
        yield Outcome(0, [(run, self._failure(error))])

    def _failure(self, error: Exception) -> ServingError:
        if is_out_of_memory(error):
            return BackendFailed(NO_MEMORY)
        return BackendFailed(f"the {self.network.stage} network failed; the server's log has the details")
