"""Faults in a network call: less memory, another backend, fewer neighbours."""

import logging
import time
import weakref
from collections.abc import Iterable

import pytest
import torch
from kandinsky_server.engine.batch import Batch, Outcome
from kandinsky_server.engine.device import Host
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.errors import BackendFailed, ServingError
from torch import Tensor

from tests.engine.fakes import LANE, Count, Watcher, add_one, adder, run_of


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def started(*rows: int, begin: Iterable[float] = (), lane: BatchKey = LANE) -> list[Run[float]]:
    begins = list(begin) or [10.0 * place for place in range(len(rows))]
    runs = [run_of(Count(rows=count, begin=b, lane=lane)) for count, b in zip(rows, begins, strict=True)]
    for run in runs:
        run.trajectory.start()
    return runs


def execute(network: DeviceNetwork, runs: list[Run[float]], watcher: Watcher) -> list[Outcome]:
    return list(Batch(network, runs, [watcher], Host()).execute())


def values(outcomes: list[Outcome]) -> list[list[float]]:
    """What each run got, in order."""
    found: list[list[float]] = []
    for share in (share for outcome in outcomes for _, share in outcome.shares):
        if not isinstance(share, BackendFailed):
            assert not isinstance(share, ServingError)
            found.append(share[0].flatten().tolist())
    return found


class RoomFor:
    """A network whose device holds so many rows."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.calls: list[int] = []

    def __call__(self, inputs: Tensor) -> tuple[Tensor]:
        self.calls.append(len(inputs))
        if len(inputs) > self.rows:
            raise torch.OutOfMemoryError("no room")
        return add_one(inputs)


async def test_each_run_gets_its_own_rows() -> None:
    runs = started(1, 2, 1)
    [outcome] = execute(adder(), runs, Watcher())
    assert [run for run, _ in outcome.shares] == runs
    assert values([outcome]) == [[1.0], [11.0, 11.0], [21.0]]
    assert outcome.rows == 4


async def test_out_of_memory_halves_the_batch_and_lowers_the_cap() -> None:
    room, watcher = RoomFor(2), Watcher()
    network = adder(room)
    outcomes = execute(network, started(2, 2, 2, 2), watcher)
    assert values(outcomes) == [[1.0] * 2, [11.0] * 2, [21.0] * 2, [31.0] * 2]
    assert room.calls == [8, 4, 2, 2, 4, 2, 2]
    assert network.rows_for(LANE.area) == 2
    assert watcher.out_of_memory == [8, 4, 4]


async def test_the_cap_is_on_rows_of_that_size_and_does_not_rise_by_itself() -> None:
    """Three rows of 16 by 16 did not fit; 64 of 2 by 2 take no more room than the one that did."""
    network = adder(RoomFor(1), max_rows=64)
    large, small = BatchKey(LANE.network, (16, 16)), BatchKey(LANE.network, (2, 2))
    execute(network, started(1, 1, 1, lane=large), Watcher())
    assert (network.rows_for(large.area), network.rows_for(small.area)) == (1, 64)
    network.shrink(512, large.area, time.monotonic())
    assert (network.rows_for(large.area), network.rows_for(small.area)) == (1, 64)


async def test_a_batch_of_one_that_does_not_fit_is_an_error() -> None:
    [outcome] = execute(adder(RoomFor(1)), started(2), Watcher())
    [(_, failure)] = outcome.shares
    assert isinstance(failure, BackendFailed)
    assert "smaller" in failure.message


async def test_a_backend_that_raises_is_replaced_by_eager() -> None:
    def broken(inputs: Tensor) -> tuple[Tensor]:
        raise ValueError("bad graph")

    watcher = Watcher()
    network = adder(broken, fallback=add_one, backend="openvino")
    assert values(execute(network, started(1, 1), watcher)) == [[1.0], [11.0]]
    assert (network.backend, network.fallback) == ("eager", None)
    assert watcher.fallbacks == [("adder", "decoder", "openvino", "ValueError")]


async def test_out_of_memory_does_not_cost_the_backend() -> None:
    network = adder(RoomFor(1), fallback=add_one, backend="compiled")
    execute(network, started(1, 1), Watcher())
    assert network.backend == "compiled"


async def test_the_row_that_breaks_the_network_fails_alone() -> None:
    def picky(inputs: Tensor) -> tuple[Tensor]:
        if (inputs == 20).any():
            raise RuntimeError("twenty")
        return add_one(inputs)

    runs = started(1, 1, 1, 1)
    outcomes = execute(adder(picky), runs, Watcher())
    failed = [
        run for outcome in outcomes for run, share in outcome.shares if isinstance(share, BackendFailed)
    ]
    assert failed == [runs[2]]
    assert values(outcomes) == [[1.0], [11.0], [31.0]]


async def test_a_trajectorys_own_fault_does_not_cost_the_backend() -> None:
    def fail() -> tuple[Tensor, ...]:
        raise ValueError("oops")

    runs = started(1, 1)
    runs[1].trajectory.inputs = fail  # type: ignore[method-assign]
    network = adder(fallback=add_one, backend="openvino")
    outcomes = execute(network, runs, Watcher())
    failed = [
        run for outcome in outcomes for run, share in outcome.shares if isinstance(share, BackendFailed)
    ]
    assert failed == [runs[1]]
    assert values(outcomes) == [[1.0]]
    assert network.backend == "openvino"


@pytest.mark.parametrize("eager", [True, False])
async def test_a_failed_call_holds_nothing_when_the_next_one_runs(eager: bool) -> None:
    """Not what it had computed, and not its inputs: on a device without room, the halves need theirs."""
    alive: list[weakref.ref[Tensor]] = []
    seen: list[int] = []

    def greedy(values: Tensor) -> tuple[Tensor]:
        seen.append(sum(ref() is not None for ref in alive))
        activation = values * 2
        alive.extend((weakref.ref(activation), weakref.ref(values)))
        if len(values) > 2:
            raise torch.OutOfMemoryError("no room") if eager else RuntimeError("bad graph")
        return (values + 1,)

    outcomes = execute(adder(greedy, fallback=None if eager else greedy), started(1, 1, 1, 1), Watcher())
    assert len(values(outcomes)) == 4
    assert len(seen) >= 3
    assert set(seen) == {0}
