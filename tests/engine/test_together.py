"""Trajectories that can be moved on at once are: those of one network call, whatever else shares it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from kandinsky_server.errors import DeviceLost, InternalFailure
from torch import Tensor

from tests.engine.fakes import Count, adder, results, running, submit_all


class Crew:
    """Moves counts on and notes how many at a time, or raises ``fault``."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.sizes: list[int] = []

    def advance(self, trajectories: Sequence[Any], outputs: Sequence[tuple[Tensor, ...]]) -> None:
        self.sizes.append(len(trajectories))
        if self.fault:
            raise self.fault
        for trajectory, (output,) in zip(trajectories, outputs, strict=True):
            trajectory.value = output
            trajectory.step += 1


class Member(Count):
    """Counts with a crew, or by itself, and notes its own steps."""

    def __init__(self, crew: Crew | None, steps: int = 3, broken: bool = False) -> None:
        super().__init__(steps)
        self.together = crew
        self.broken = broken
        self.own_steps = 0

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        if self.broken:
            raise ValueError("broken")
        super().advance(outputs)
        self.own_steps += 1


async def test_those_of_one_call_move_at_once() -> None:
    crew = Crew()
    members = [Member(crew) for _ in range(4)]
    async with running() as engine:
        assert await results(submit_all(engine, members)) == [3.0] * 4
    assert sum(crew.sizes) == 12
    assert max(crew.sizes) > 1
    assert [member.own_steps for member in members] == [0] * 4


async def test_each_crew_moves_its_own_and_others_move_themselves() -> None:
    crews = Crew(), Crew()
    members = [Member(crew, steps=2) for crew in (crews[0], crews[1], None, crews[0])]
    async with running() as engine:
        assert await results(submit_all(engine, [*members, Count(steps=2)])) == [2.0] * 5
    assert [sum(crew.sizes) for crew in crews] == [4, 2]
    assert [member.own_steps for member in members] == [0, 0, 2, 0]


async def test_a_fault_in_it_is_met_by_each_ones_own_step(caplog: pytest.LogCaptureFixture) -> None:
    """So that it fails the request whose fault it is, and no other."""
    crew = Crew(RuntimeError("no"))
    members = [Member(crew), Member(crew, broken=True), Member(crew)]
    async with running() as engine:
        first, broken, last = await results(submit_all(engine, members))
    assert (first, last) == (3.0, 3.0)
    assert isinstance(broken, InternalFailure)
    assert [member.own_steps for member in members] == [3, 0, 3]
    assert "trajectories at once failed" in caplog.text


async def test_a_run_that_the_network_failed_is_not_moved() -> None:
    crew = Crew()

    def refuses_one(values: Tensor) -> tuple[Tensor, ...]:
        if bool((values == 100).any()):
            raise RuntimeError("no")
        return (values + 1,)

    members = [Member(crew), Member(crew), Member(crew)]
    members[1].begin = 100.0
    async with running(adder(refuses_one)) as engine:
        first, refused, last = await results(submit_all(engine, members))
    assert (first, last) == (3.0, 3.0)
    assert isinstance(refused, Exception)
    assert members[1].step == 0
    assert torch.equal(members[1].value, torch.tensor([[100.0]]))


async def test_a_device_lost_in_it_ends_everyone_and_nobody_steps_alone() -> None:
    crew = Crew(RuntimeError("CUDA error: an illegal memory access was encountered"))
    members = [Member(crew), Member(crew)]
    async with running() as engine:
        ends = await asyncio.wait_for(results(submit_all(engine, members)), 30)
    assert [type(end) for end in ends] == [DeviceLost, DeviceLost]
    assert [member.own_steps for member in members] == [0, 0]
