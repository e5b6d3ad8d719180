"""The step loop: joining, leaving, faults and updates."""

import asyncio
import logging
import threading

import pytest
import torch
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.errand import Errand
from kandinsky_server.engine.run import Update
from kandinsky_server.engine.ticket import HIGH, LOW, Ticket
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.errors import (
    BackendFailed,
    DeadlineExceeded,
    Draining,
    InternalFailure,
    NonFinite,
    RequestCancelled,
    ServingError,
)
from torch import Tensor

from tests.engine.fakes import Count, Watcher, add_one, adder, results, running, submit, submit_all


class Gate:
    """A network that waits, call by call, until the test lets it go on."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.permits = threading.Semaphore(0)

    def __call__(self, inputs: Tensor) -> tuple[Tensor]:
        self.entered.release()
        assert self.permits.acquire(timeout=60)
        return add_one(inputs)

    def wait(self) -> None:
        """Until a call has begun."""
        assert self.entered.acquire(timeout=60)

    def open(self, calls: int = 10_000) -> None:
        self.permits.release(calls)


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def test_trajectories_of_different_lengths_end_in_their_own_time() -> None:
    async with running() as engine:
        runs = submit_all(engine, [Count(steps=steps, begin=100.0 * steps) for steps in (1, 5, 3)])
        assert await results(runs) == [101.0, 505.0, 303.0]
        assert not engine.active


async def test_a_late_trajectory_joins_the_running_batch(gate: Gate) -> None:
    watcher = Watcher()
    async with running(adder(gate), watcher=watcher) as engine:
        early = submit(engine, Count(steps=4), Ticket("early"))
        gate.wait()
        late = submit(engine, Count(steps=2), Ticket("late"))
        gate.open()
        await results([early, late])
    seen = [[(ticket.request_id, step) for ticket, step in report.members] for report in watcher.steps]
    assert seen == [
        [("early", 1)],
        [("early", 2), ("late", 1)],
        [("early", 3), ("late", 2)],
        [("early", 4)],
    ]
    assert [report.rows for report in watcher.steps] == [1, 2, 2, 1]


async def test_exclusive_trajectories_never_share_a_call() -> None:
    watcher = Watcher()
    async with running(watcher=watcher, exclusive=True) as engine:
        assert await results(submit_all(engine, [Count(), Count(begin=7.0)])) == [3.0, 10.0]
    assert {len(report.members) for report in watcher.steps} == {1}


async def test_more_rows_than_seats_are_served_in_turn() -> None:
    watcher = Watcher()
    async with running(adder(max_rows=2), watcher=watcher) as engine:
        assert await results(submit_all(engine, [Count(rows=2) for _ in range(3)])) == [3.0] * 3
    assert {report.rows for report in watcher.steps} == {2}


async def test_a_cancelled_request_leaves_before_the_next_step(gate: Gate) -> None:
    watcher, ticket = Watcher(), Ticket("gone")
    async with running(adder(gate), watcher=watcher) as engine:
        gone, staying = submit(engine, Count(steps=9), ticket), submit(engine, Count(), Ticket("staying"))
        gate.wait()
        ticket.cancel()
        gate.open()
        cancelled, value = await results([gone, staying])
    assert isinstance(cancelled, RequestCancelled)
    assert value == 3.0
    assert sum(ticket is rider for report in watcher.steps for rider, _ in report.members) <= 1


async def test_a_passed_deadline_frees_the_place(gate: Gate) -> None:
    ticket = Ticket()
    async with running(adder(gate)) as engine:
        run = submit(engine, Count(), ticket)
        gate.wait()
        ticket.deadline = ticket.arrival
        gate.open()
        [failure] = await results([run])
    assert isinstance(failure, DeadlineExceeded)


async def test_a_cancelled_request_that_waits_is_never_started() -> None:
    ticket = Ticket()
    ticket.cancel()
    async with running() as engine:
        run = submit(engine, Count(), ticket)
        assert isinstance((await results([run]))[0], RequestCancelled)
    assert run.started is None


class Faulty(Count):
    """Raises in one of its methods."""

    def __init__(self, method: str, error: Exception) -> None:
        super().__init__()

        def fail(*_: object) -> None:
            raise error

        setattr(self, method, fail)


@pytest.mark.parametrize("method", ["start", "inputs", "advance", "result"])
async def test_one_trajectorys_fault_fails_one_request(method: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    async with running() as engine:
        runs = submit_all(engine, [Count(), Faulty(method, ValueError("oops")), Count(begin=5.0)])
        first, failure, last = await results(runs)
    assert (first, last) == (3.0, 8.0)
    assert isinstance(failure, InternalFailure)
    assert "oops" not in failure.message


async def test_a_serving_error_reaches_the_client_as_it_is() -> None:
    async with running() as engine:
        [failure] = await results(submit_all(engine, [Faulty("result", NonFinite("it made NaN"))]))
    assert isinstance(failure, NonFinite)


async def test_a_failed_trajectory_takes_the_rest_of_its_request_with_it() -> None:
    ticket = Ticket()
    async with running() as engine:
        runs = submit_all(engine, [Count(steps=1000), Faulty("start", NonFinite("it made NaN"))], ticket)
        found = await results(runs)
    assert all(isinstance(failure, NonFinite) for failure in found)


async def test_the_most_urgent_lane_goes_first(gate: Gate) -> None:
    watcher, other = Watcher(), BatchKey("adder", (2,))
    async with running(adder(gate), watcher=watcher) as engine:
        first = submit(engine, Count(steps=1), Ticket("first"))
        gate.wait()
        low = submit(engine, Count(steps=2), Ticket("low", priority=LOW))
        high = submit(engine, Count(steps=2, lane=other), Ticket("high", priority=HIGH))
        gate.open()
        await results([first, low, high])
    order = [report.members[0][0].request_id for report in watcher.steps]
    assert order == ["first", "high", "high", "low", "low"]


async def test_equal_lanes_take_turns(gate: Gate) -> None:
    watcher, other = Watcher(), BatchKey("adder", (2,))
    async with running(adder(gate), watcher=watcher) as engine:
        one = submit(engine, Count(steps=3), Ticket("one"))
        gate.wait()
        two = submit(engine, Count(steps=3, lane=other), Ticket("two"))
        gate.open()
        await results([one, two])
    order = [report.members[0][0].request_id for report in watcher.steps]
    # A lane is as old as its first member: the second one waited less long than the first when it came.
    assert order == ["one", "one", "two", "one", "two", "two"]


async def test_a_slow_reader_sees_only_the_newest_update() -> None:
    async with running() as engine:
        run = submit(engine, Count(steps=50), Ticket())
        await run.result()
        seen = [update async for update in run.updates()]
    assert seen == [Update(50, 50)]


async def test_an_unread_snapshot_outlives_newer_updates() -> None:
    async with running() as engine:
        run = submit(engine, Count(steps=5), Ticket(), preview_interval=3)
        await run.result()
        seen = [update async for update in run.updates()]
    assert [update.step for update in seen] == [3]
    assert seen[0].snapshot is not None
    assert torch.equal(seen[0].snapshot, torch.tensor([[3.0]]))


async def test_stopping_fails_what_has_not_finished(gate: Gate) -> None:
    async with running(adder(gate)) as engine:
        run = submit(engine, Count(), Ticket())
        gate.wait()
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0)
        gate.open()
        await stopping
    [failure] = await results([run])
    assert isinstance(failure, ServingError)
    assert run.trajectory.step == 1


async def test_a_step_that_failed_for_all_leaves_no_cost_behind(caplog: pytest.LogCaptureFixture) -> None:
    def broken(values: Tensor) -> tuple[Tensor]:
        raise RuntimeError("no")

    async with running(adder(broken)) as engine:
        assert [type(end) for end in await results(submit_all(engine, [Count()]))] == [BackendFailed]
        assert not engine.cost.measured(Count().lane)
        assert engine.cost.step_seconds(Count().lane, 2) > 0
    assert "network adder failed" in caplog.text


async def test_a_fault_of_the_thread_itself_ends_everyone_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Spoilt(Ticket):
        def check_expired(self, now: float) -> ServingError | None:
            raise ZeroDivisionError

    async with running() as engine:
        runs = [submit(engine, Count(steps=5), ticket) for ticket in (Ticket(), Spoilt())]
        ends = await asyncio.wait_for(results(runs), 10)
        assert [type(end) for end in ends] == [InternalFailure, InternalFailure]
        await asyncio.wait_for(engine.failed.wait(), 10)
    assert "the engine's thread failed" in caplog.text


async def test_who_is_abandoned_does_not_wait_for_the_step(gate: Gate) -> None:
    async with running(adder(gate)) as engine:
        run = submit(engine, Count(steps=5), Ticket())
        gate.wait()
        engine.abandon(Draining("shutting down", 1.0))
        [failure] = await asyncio.wait_for(results([run]), 10)
        assert isinstance(failure, Draining)
        gate.open()
    assert not engine.active


async def test_what_is_prepared_is_prepared_by_the_thread_that_steps() -> None:
    threads: list[int] = []
    network = adder(lambda values: threads.append(threading.get_ident()) or add_one(values))  # type: ignore[func-returns-value]
    engine = Engine({network.name: network}, CostModel())
    await engine.start(lambda: threads.append(threading.get_ident()))
    await results(submit_all(engine, [Count(steps=1)]))
    await engine.stop()
    assert len(threads) == 2
    assert len({*threads, threading.get_ident()}) == 2


async def test_what_fails_while_preparing_is_raised() -> None:
    def fail() -> None:
        raise LookupError("no such checkpoint")

    with pytest.raises(LookupError, match="no such checkpoint"):
        await Engine({}, CostModel()).start(fail)


async def test_errands_are_run_between_steps_and_their_faults_end_nothing(gate: Gate) -> None:
    seen: list[tuple[str, int]] = []

    def note() -> None:
        seen.append((threading.current_thread().name, counted.step))

    def fail() -> None:
        raise RuntimeError("an errand that fails")

    async with running(adder(gate)) as engine:
        counted = Count(steps=3)
        runs = submit_all(engine, [counted])
        gate.wait()
        engine.between_steps(Errand("failing", fail))
        engine.between_steps(Errand("noting", note))
        gate.open()
        assert await results(runs) == [3.0]
        idle = threading.Event()
        engine.between_steps(Errand("while nothing runs", idle.set))
        assert await asyncio.to_thread(idle.wait, 60)
    ((thread, step),) = seen
    assert thread == "engine"
    assert step in (1, 2)


async def test_a_checkpoint_that_cannot_be_taken_keeps_nobody_from_being_handed_over(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even its own request, whose client has the checkpoint before."""

    class Uncopied(Count):
        def checkpoint(self) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

    async with running(adder(gate)) as engine:
        runs = [
            submit(engine, counted, Ticket(resumable=True), checkpoint_interval=1000)
            for counted in (Uncopied(steps=9), Count(steps=9))
        ]
        gate.wait()
        gate.open(1)
        gate.wait()
        engine.hand_over(Draining("another replica", 1.0))
        gate.open()
        ends = await results(runs)
    assert [type(end) for end in ends] == [Draining, Draining]
    assert "no last checkpoint" in caplog.text
