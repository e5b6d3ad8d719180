"""The host's part of a step is done while the device works: one wait a step, behind everything that was queued."""

import asyncio
import logging
import threading

import pytest
import torch
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.device import Cuda, Host, device_for
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.watchdog import Timeouts, Watchdog
from kandinsky_server.errors import BackendFailed, DeviceHung, DeviceLost, InternalFailure
from torch import Tensor

from tests.engine.fakes import Count, Watcher, add_one, adder, results, running, submit, submit_all
from tests.engine.pretended import CALL_SECONDS, Logged, Pretended

LOST = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@pytest.fixture
def device() -> Pretended:
    return Pretended()


async def test_each_step_launches_advances_all_waits_once_and_reads_nothing_before(device: Pretended) -> None:
    async with running(adder(device.network), device=device) as engine:
        device.go_on.clear()
        first = submit(engine, Logged(device, steps=1), Ticket())
        assert await asyncio.to_thread(device.reached.wait, 60)
        # They come while the device works, and share what follows.
        others = submit_all(engine, [Logged(device, steps=2), Logged(device, steps=2)])
        device.go_on.set()
        assert await results([first, *others]) == [1.0, 2.0, 2.0]
    assert device.log == [
        *("enter", "launch 1", "advance", "wait", "read"),
        *("launch 2", "advance", "advance", "wait"),
        *("launch 2", "advance", "advance", "wait", "read", "read"),
    ]


async def test_nothing_is_delivered_before_the_device_is_done(device: Pretended) -> None:
    device.go_on.clear()
    async with running(adder(device.network), device=device) as engine:
        run = submit(engine, Logged(device, steps=1), Ticket(), preview_interval=1)
        assert await asyncio.to_thread(device.reached.wait, 60)
        assert device.log[-2:] == ["advance", "wait"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(run._done), 0.2)
        device.go_on.set()
        assert await run.result() == 1.0


async def test_what_a_step_brought_is_delivered_while_the_device_is_with_the_next(device: Pretended) -> None:
    """So that the event loop's work does not stand between two calls; with nothing to do next, at once."""
    async with running(adder(device.network), device=device) as engine:
        run = submit(engine, Logged(device, steps=2), Ticket(), preview_interval=1)
        first = await anext(run.updates())
        assert first.step == 1
        assert device.log.count("launch 1") == 2
        assert await run.result() == 2.0


async def test_a_cancel_costs_no_more_than_the_step_that_runs(device: Pretended) -> None:
    device.go_on.clear()
    async with running(adder(device.network), device=device) as engine:
        run = submit(engine, Logged(device, steps=9), Ticket())
        assert await asyncio.to_thread(device.reached.wait, 60)
        run.ticket.cancel()
        device.go_on.set()
        await results([run])
        await results(submit_all(engine, [Count(steps=1)]))
    assert device.log.count("advance") == 1


async def test_network_times_are_the_devices(device: Pretended) -> None:
    watcher = Watcher()
    async with running(adder(device.network), watcher=watcher, device=device) as engine:
        await results(submit_all(engine, [Count(steps=2)]))
    assert [report.network_seconds for report in watcher.steps] == [CALL_SECONDS] * 2
    assert all(report.seconds < CALL_SECONDS for report in watcher.steps)


async def test_halves_are_launched_when_memory_has_been_given_back(device: Pretended) -> None:
    def small(values: Tensor) -> tuple[Tensor]:
        outputs = device.network(values)
        if len(values) > 2:
            raise torch.OutOfMemoryError("no room")
        return outputs

    watcher = Watcher()
    async with running(adder(small), watcher=watcher, device=device) as engine:
        device.go_on.clear()
        first = submit(engine, Logged(device, steps=1), Ticket())
        assert await asyncio.to_thread(device.reached.wait, 60)
        both = submit_all(engine, [Logged(device, steps=1, rows=2), Logged(device, steps=1, rows=2)])
        device.go_on.set()
        assert await results([first, *both]) == [1.0] * 3
    assert device.log == [
        *("enter", "launch 1", "advance", "wait", "read"),
        *("launch 4", "release", "launch 2", "advance", "launch 2", "advance", "wait", "read", "read"),
    ]
    assert watcher.steps[-1].network_seconds == 2 * CALL_SECONDS


async def test_a_queue_that_never_ends_is_a_hang(device: Pretended, caplog: pytest.LogCaptureFixture) -> None:
    network = adder(device.network)
    engine = Engine(
        {network.name: network}, CostModel(), watchdog=Watchdog(Timeouts(step=1.0)), device=device
    )
    device.go_on.clear()
    await engine.start()
    ends = await asyncio.wait_for(results(submit_all(engine, [Count(), Count()])), 30)
    assert [type(end) for end in ends] == [DeviceHung, DeviceHung]
    await engine.stop()
    device.go_on.set()
    (told,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "in wait" in vars(told)["stack"]


async def test_a_lost_device_that_is_told_at_the_wait_ends_everyone(caplog: pytest.LogCaptureFixture) -> None:
    device = Pretended(LOST)
    async with running(adder(device.network), device=device) as engine:
        ends = await asyncio.wait_for(results(submit_all(engine, [Count(), Count()])), 30)
        assert [type(end) for end in ends] == [DeviceLost, DeviceLost]
        await asyncio.wait_for(engine.failed.wait(), 10)
        with pytest.raises(DeviceLost):
            engine.check()
        assert isinstance((await results(submit_all(engine, [Count()])))[0], DeviceLost)
    assert device.log.count("wait") == 1
    assert "the device is lost" in caplog.text
    assert "illegal memory access" in caplog.text


async def test_another_fault_of_the_queue_fails_who_was_in_it() -> None:
    device = Pretended(RuntimeError("a stream of a backend's own"))
    async with running(adder(device.network), device=device) as engine:
        [failure] = await results(submit_all(engine, [Count()]))
        assert isinstance(failure, InternalFailure)
        assert await results(submit_all(engine, [Count()])) == [3.0]


@pytest.mark.parametrize("method", ["start", "inputs", "advance", "result", "snapshot"])
async def test_a_trajectory_that_meets_a_lost_device_ends_everyone(method: str) -> None:
    class Unlucky(Count):
        pass

    def fail(*_: object) -> None:
        raise LOST

    setattr(Unlucky, method, fail)
    async with running() as engine:
        unlucky = submit(engine, Unlucky(), Ticket(), preview_interval=1)
        ends = await asyncio.wait_for(results([unlucky, *submit_all(engine, [Count(steps=10_000)])]), 30)
    assert [type(end) for end in ends] == [DeviceLost, DeviceLost]


async def test_eager_does_not_take_over_from_a_backend_that_lost_the_device() -> None:
    def dead(values: Tensor) -> tuple[Tensor]:
        raise LOST

    network, watcher = adder(dead, fallback=add_one, backend="compiled"), Watcher()
    async with running(network, watcher=watcher) as engine:
        [failure] = await asyncio.wait_for(results(submit_all(engine, [Count()])), 30)
    assert isinstance(failure, DeviceLost)
    assert watcher.fallbacks == []


async def test_one_trajectory_without_memory_to_advance_fails_alone() -> None:
    class Large(Count):
        def advance(self, outputs: tuple[Tensor, ...]) -> None:
            raise torch.OutOfMemoryError("no room")

    async with running() as engine:
        value, failure = await results(submit_all(engine, [Count(), Large()]))
    assert value == 3.0
    assert isinstance(failure, BackendFailed)
    assert "smaller" in failure.message


@pytest.mark.parametrize("method", ["snapshot", "checkpoint"])
async def test_one_trajectory_without_memory_to_be_shown_fails_alone(method: str) -> None:
    class Large(Count):
        pass

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    setattr(Large, method, fail)
    device = Pretended()
    async with running(adder(device.network), device=device) as engine:
        device.go_on.clear()
        small = submit(engine, Count(), Ticket())
        assert await asyncio.to_thread(device.reached.wait, 60)
        large = submit(engine, Large(), Ticket(), preview_interval=1, checkpoint_interval=1)
        device.go_on.set()
        value, failure = await results([small, large])
    assert value == 3.0
    assert isinstance(failure, BackendFailed)


async def test_a_device_lost_while_preparing_is_raised() -> None:
    def fail() -> None:
        raise LOST

    with pytest.raises(torch.AcceleratorError):
        await Engine({}, CostModel()).start(fail)


def test_a_cuda_device_is_used_by_the_thread_that_enters_it(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    chosen = torch.device("cuda:1")
    device_for(chosen).enter()
    assert used == [chosen]
    assert isinstance(device_for(chosen), Cuda)
    assert isinstance(device_for(torch.device("cpu")), Host)


async def test_the_device_is_entered_first_and_by_the_thread_that_steps() -> None:
    seen: list[tuple[str, int]] = []

    class Entered(Host):
        def enter(self) -> None:
            seen.append(("enter", threading.get_ident()))

    def call(values: Tensor) -> tuple[Tensor]:
        seen.append(("call", threading.get_ident()))
        return add_one(values)

    engine = Engine({"adder": adder(call)}, CostModel(), device=Entered())
    await engine.start(lambda: seen.append(("prepare", threading.get_ident())))
    await results(submit_all(engine, [Count(steps=1)]))
    await engine.stop()
    assert [what for what, _ in seen] == ["enter", "prepare", "call"]
    assert len({thread for _, thread in seen}) == 1
