"""Less is asked of a device that ran out of memory, and more again after a while."""

import logging

import pytest
import torch
from kandinsky_server.engine import room
from kandinsky_server.engine.room import MOST_SECONDS, QUIET_SECONDS, Room
from torch import Tensor

from tests.engine.fakes import Count, Watcher, add_one, adder, results, running, submit_all

AREA = 4


def test_the_room_doubles_after_each_quiet_time_up_to_what_it_was() -> None:
    network = adder(max_rows=16, max_pixels=10 * AREA)
    network.shrink(5, AREA, now=0.0)
    assert network.rows_for(AREA) == 2
    seen = []
    for minute in range(1, 6):
        now = minute * QUIET_SECONDS
        assert not network.grow(AREA, now - 1.0)
        seen.append((network.grow(AREA, now), network.rows_for(AREA)))
    assert seen == [(True, 4), (True, 8), (True, 10), (False, 10), (False, 10)]


def test_a_trial_that_fails_makes_the_next_one_later() -> None:
    space, now, waits = Room(), 0.0, []
    space.shrink(4, now)
    for _ in range(10):
        began = now
        while not space.grow(64, now):
            now += QUIET_SECONDS / 2
        waits.append(now - began)
        space.shrink(4, now)
    assert waits[:4] == [QUIET_SECONDS, 2 * QUIET_SECONDS, 4 * QUIET_SECONDS, 8 * QUIET_SECONDS]
    assert max(waits) == MOST_SECONDS


def test_one_shortage_that_takes_several_halvings_counts_once() -> None:
    space = Room()
    for pixels in (8, 4, 2, 1):
        space.shrink(pixels, 0.0)
    assert space.grow(16, QUIET_SECONDS)


def test_a_trial_that_went_well_for_a_while_is_forgotten() -> None:
    space = Room()
    space.shrink(4, 0.0)
    space.grow(8, QUIET_SECONDS)
    space.grow(8, 2 * QUIET_SECONDS)
    space.shrink(4, 3 * QUIET_SECONDS)
    assert space.grow(8, 4 * QUIET_SECONDS)


async def test_the_engine_tries_again_what_did_not_fit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(room, "QUIET_SECONDS", 0.05)
    fits = 1

    def call(values: Tensor) -> tuple[Tensor]:
        if len(values) > fits:
            raise torch.OutOfMemoryError("no room")
        return add_one(values)

    watcher = Watcher()
    network = adder(call, max_rows=4)
    async with running(network, watcher=watcher) as engine:
        # One after the other takes a while; all at once did not fit.
        await results(submit_all(engine, [Count(steps=2) for _ in range(4)]))
        assert watcher.out_of_memory
        fits = 4
        while network.rows_for(1) < 4:
            await results(submit_all(engine, [Count(steps=1)]))
        before = len(watcher.out_of_memory)
        assert await results(submit_all(engine, [Count() for _ in range(8)])) == [3.0] * 8
    assert len(watcher.out_of_memory) == before
    assert max(report.rows for report in watcher.steps) == 4
    assert "adder: trying 4 rows again" in caplog.text
