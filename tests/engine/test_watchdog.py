"""What hangs is told once, and time that nobody was awake for is no time."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.errand import Errand
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.watchdog import LOOK_SECONDS, Activity, Timeouts, Watchdog
from kandinsky_server.errors import DeviceHung
from torch import Tensor

from tests.engine.fakes import Count, add_one, adder, results, submit, submit_all

LIMIT = 1.0


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_a_step_that_hangs_ends_everyone_and_is_told(
    go_on: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def hanging(values: Tensor) -> tuple[Tensor]:
        go_on.wait(60)
        return add_one(values)

    network, beats = adder(hanging), list[float]()
    watchdog = Watchdog(Timeouts(step=LIMIT), beats.append)
    engine = Engine({network.name: network}, CostModel(), watchdog=watchdog)
    await engine.start()
    ends = await asyncio.wait_for(results(submit_all(engine, [Count(), Count()])), 30)
    assert [type(end) for end in ends] == [DeviceHung, DeviceHung]
    assert engine.failed.is_set()
    with pytest.raises(DeviceHung, match="a step of adder has taken"):
        engine.check()
    later = submit(engine, Count(), Ticket())
    assert isinstance((await asyncio.wait_for(results([later]), 10))[0], DeviceHung)
    await engine.stop()
    (told,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert vars(told)["network"] == "adder"
    assert vars(told)["rows"] in (1, 2), "the second one may have come in time"
    assert "go_on.wait(60)" in vars(told)["stack"]
    assert beats, "somebody else is to see that it is gone soon"


async def test_an_errand_that_hangs_is_found_as_soon_as_a_step(go_on: threading.Event) -> None:
    """Unless it prepares a network, which may take an hour."""
    network = adder()
    engine = Engine({network.name: network}, CostModel(), watchdog=Watchdog(Timeouts(step=LIMIT)))
    await engine.start()
    engine.between_steps(Errand("handing over", partial(go_on.wait, 60)))
    await asyncio.wait_for(engine.failed.wait(), 30)
    with pytest.raises(DeviceHung, match="handing over has taken"):
        engine.check()
    await engine.stop()


async def test_preparing_between_steps_may_take_longer_than_a_step(go_on: threading.Event) -> None:
    network = adder()
    engine = Engine({network.name: network}, CostModel(), watchdog=Watchdog(Timeouts(step=LIMIT)))
    await engine.start()
    engine.between_steps(Errand("taking over", partial(go_on.wait, 2 * LIMIT), prepares=True))
    [run] = submit_all(engine, [Count()])
    assert await results([run]) == [3.0]
    await engine.stop()


async def test_preparing_that_hangs_is_an_error(go_on: threading.Event) -> None:
    watchdog = Watchdog(Timeouts(load=LIMIT))
    engine = Engine({}, CostModel(), watchdog=watchdog)

    def prepare() -> None:
        with watchdog.loading("preparing adder"):
            go_on.wait(60)

    with pytest.raises(DeviceHung, match="preparing adder has taken"):
        await asyncio.wait_for(engine.start(prepare), 30)
    watchdog.stop()


def test_a_process_that_slept_has_not_grown_older(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs an hour a look."""
    told, real, looks = list[str](), time.monotonic, list[float]()

    def jumping() -> float:
        looks.append(real())
        return real() + 3600 * len(looks)

    watchdog = Watchdog(Timeouts())
    monkeypatch.setattr("kandinsky_server.engine.watchdog.time.monotonic", jumping)
    watchdog.start(told.append)
    with watchdog.watch(Activity("a nap", lambda: 100 * LOOK_SECONDS)):
        limit = real() + 60
        while len(looks) < 4 and real() < limit:
            threading.Event().wait(LOOK_SECONDS)
    watchdog.stop()
    assert len(looks) >= 4
    assert told == []


@pytest.mark.slow
def test_one_step_after_the_other_is_no_hang() -> None:
    told = list[str]()
    watchdog = Watchdog(Timeouts())
    watchdog.start(told.append)
    limit = time.monotonic() + 4 * LIMIT
    while time.monotonic() < limit:
        with watchdog.watch(Activity("a step", lambda: LIMIT)):
            threading.Event().wait(LIMIT / 4)
    watchdog.stop()
    assert told == []


@pytest.mark.parametrize(
    ("timeouts", "forecast", "limit"),
    [
        (Timeouts(), 0.1, 60),
        (Timeouts(), 10, 200),
        (Timeouts(), None, 600),
        (Timeouts(step=5), 10, 5),
        (Timeouts(step=5), None, 5),
    ],
)
def test_a_step_may_take_so_long(timeouts: Timeouts, forecast: float | None, limit: float) -> None:
    assert timeouts.of_step(forecast) == limit
