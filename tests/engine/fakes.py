"""Small trajectories and networks: the engine knows nothing of diffusion."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import torch
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.device import Device
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.report import StepReport
from kandinsky_server.engine.residency import Residency
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.work import Work
from torch import Tensor

LANE = BatchKey("adder", (1,))


def planned(lane: BatchKey, rows: int, steps: int, *needs: Work[Any], denoising: bool = True) -> Work[Any]:
    """Work that is forecast and never run."""
    return Work(lane, rows, steps, Count, needs, denoising)


def call(lane: BatchKey, *needs: Work[Any]) -> Work[Any]:
    """One call of one row, forecast and never run."""
    return planned(lane, 1, 1, *needs, denoising=False)


class Count:
    """Counts up by one a step, from ``start``; its result is where it got to."""

    def __init__(self, steps: int = 3, rows: int = 1, begin: float = 0.0, lane: BatchKey = LANE) -> None:
        self.lane = lane
        self.rows = rows
        self.step_count = steps
        self.step = 0
        self.begin = begin

    def start(self) -> None:
        self.value = torch.full((self.rows, 1), self.begin)

    def inputs(self) -> tuple[Tensor, ...]:
        return (self.value,)

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        assert outputs[0].shape == (self.rows, 1)
        self.value = outputs[0]
        self.step += 1

    def snapshot(self) -> Tensor | None:
        return self.value.clone()

    def checkpoint(self) -> None:
        """Nobody asks for one."""

    def result(self) -> float:
        return float(self.value[0, 0])


def add_one(values: Tensor) -> tuple[Tensor]:
    """The network that `Count` runs on."""
    return (values + 1,)


def adder(
    call: Callable[..., tuple[Tensor, ...]] = add_one, max_rows: int = 8, **options: Any
) -> DeviceNetwork:
    return DeviceNetwork(LANE.network, "decoder", options.pop("backend", "eager"), call, max_rows, **options)


class Watcher:
    """An observer that keeps all it hears."""

    def __init__(self) -> None:
        self.steps: list[StepReport] = []
        self.fallbacks: list[tuple[str, ...]] = []
        self.out_of_memory: list[int] = []

    def on_step(self, report: StepReport) -> None:
        self.steps.append(report)

    def on_fallback(self, *what: str) -> None:
        self.fallbacks.append(what)

    def on_out_of_memory(self, network: str, stage: str, rows: int) -> None:
        self.out_of_memory.append(rows)

    def on_unprepared(self, network: str) -> None: ...


@asynccontextmanager
async def running(
    *networks: DeviceNetwork,
    watcher: Watcher | None = None,
    exclusive: bool = False,
    residency: Residency | None = None,
    device: Device[Any] | None = None,
) -> AsyncIterator[Engine]:
    """An engine whose thread runs."""
    observers = [watcher] if watcher else []
    named = {network.name: network for network in networks or (adder(),)}
    engine = Engine(named, CostModel(), observers, exclusive, residency, device=device)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def results(runs: Iterable[Run[Any]]) -> Sequence[Any]:
    """Each run's result, or what ended it instead."""
    return await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)


def submit_all(engine: Engine, trajectories: Iterable[Any], ticket: Ticket | None = None) -> list[Run[Any]]:
    """Each with its own ticket, or all with one."""
    return [submit(engine, trajectory, ticket or Ticket()) for trajectory in trajectories]


def submit(engine: Engine, trajectory: Any, ticket: Ticket, **options: Any) -> Run[Any]:
    """Puts a small trajectory into its lane; no request has planned it."""
    return engine.submit(work_of(trajectory), trajectory, ticket, **options)


def run_of(trajectory: Any, ticket: Ticket | None = None) -> Run[Any]:
    """A run that no engine has taken."""
    return Run(work_of(trajectory), trajectory, ticket or Ticket())


def work_of(trajectory: Any) -> Work[Any]:
    """The work that a small trajectory does."""
    return Work(trajectory.lane, trajectory.rows, trajectory.step_count, lambda: trajectory)
