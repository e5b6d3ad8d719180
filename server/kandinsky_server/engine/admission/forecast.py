"""When work would finish: the engine's own rules played forward on predicted step times."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.slots import fill_slots
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.work import Remaining, Work

MAX_PHASES = 400
"""Past so many joins and leaves the rest is taken as one block; a forecast must stay cheap."""


@dataclass(frozen=True)
class Forecast:
    """Seconds from now to a request's first denoising step and to its end, and what goes before it."""

    start: float
    finish: float
    position: int
    measured: bool


@dataclass(frozen=True)
class Pace:
    """What steps take and how many rows share one: ``rows_for`` gives a lane's most rows a call.

    ``background`` is how many rows others usually have in each lane. Those who leave are taken to be replaced up to that.
    ``hopeful`` takes the least that steps may take.
    """

    cost: CostModel
    rows_for: Callable[[BatchKey], int]
    background: Mapping[BatchKey, float]
    hopeful: bool = False

    def step_seconds(self, lane: BatchKey, rows: float) -> float:
        """One step of ``rows`` rows."""
        return self.cost.step_seconds(lane, rows, self.hopeful)

    def round_seconds(self, batched: Mapping[BatchKey, Sequence[_Member]]) -> float:
        """A turn of every lane that somebody is batched in, or usually is, or has previews made in."""
        mine: dict[BatchKey, float] = defaultdict(float)
        others: dict[BatchKey, float] = defaultdict(float)
        for member in chain.from_iterable(batched.values()):
            for lane, rows in member.rows:
                (mine if member.mine else others)[lane] += rows
        lanes = mine.keys() | others.keys()
        rest = sum(seconds for lane, seconds in self._others_alone.items() if lane not in lanes)
        return rest + sum(self._turn_seconds(lane, mine[lane], others[lane]) for lane in lanes)

    @cached_property
    def _others_alone(self) -> dict[BatchKey, float]:
        return {lane: self._turn_seconds(lane, 0.0, 0.0) for lane in self.background}

    def _turn_seconds(self, lane: BatchKey, mine: float, others: float) -> float:
        """Where there is less than a row on the average, there is a turn only so often."""
        usual = min(self.background.get(lane, 0.0), self.rows_for(lane) - mine)
        rows = mine + max(others, usual)
        return min(1.0, rows) * self.step_seconds(lane, max(1.0, rows))


@dataclass(eq=False)
class _Member:
    """``place`` is where it stands among all: the lower is batched first. ``missing`` counts what it still waits for.

    Members with 0 rows (waits) use no batch capacity.
    """

    work: Work[Any]
    left: int
    place: int
    mine: bool
    missing: int = 0

    @cached_property
    def rows(self) -> tuple[tuple[BatchKey, float], ...]:
        """By lane, of a step: its own, and on the average its previews'. Asked first when all its steps are left."""
        own, shown = (self.work.key, float(self.work.rows)), self.work.shown
        return (own, (shown.key, shown.count(self.left) / self.left)) if shown else (own,)

    @property
    def order(self) -> tuple[bool, int]:
        return (self.work.rows > 0, self.place)

    @property
    def denoises_mine(self) -> bool:
        return self.mine and self.work.denoising


class _Lanes:
    """Who waits or is batched in each lane, in order; ``mine`` are those of the request that is forecast.

    What a member needs and is not among the members has ended.
    """

    def __init__(self, members: Sequence[_Member], rows_for: Callable[[BatchKey], int]) -> None:
        self.members: dict[BatchKey, list[_Member]] = {}
        self.left = dict.fromkeys(members)
        self.mine = {member for member in members if member.mine}
        self._rows_for = rows_for
        self._after: dict[Work[Any], list[_Member]] = defaultdict(list)
        known = {member.work for member in members}
        for member in members:
            needs = [work for work in member.work.needs if work in known]
            member.missing = len(needs)
            for work in needs:
                self._after[work].append(member)
        self._join(member for member in members if not member.missing)

    def _join(self, members: Iterable[_Member]) -> None:
        for member in members:
            insort(self.members.setdefault(member.work.key, []), member, key=lambda other: other.order)

    def fill_slots(self) -> dict[BatchKey, list[_Member]]:
        """Fills each lane's next batch in order, up to its row limit."""
        return {
            lane: fill_slots(members, lambda member: member.work.rows, self._rows_for(lane))
            for lane, members in self.members.items()
        }

    def advance(self, batched: Mapping[BatchKey, Sequence[_Member]], steps: int) -> None:
        """Takes steps; those who have done their last leave, and what needed only them joins."""
        done: list[_Member] = []
        for lane, members in batched.items():
            for member in members:
                member.left -= steps
            ended = [member for member in members if member.left <= 0]
            if ended:
                self.members[lane][: len(members)] = [member for member in members if member.left > 0]
                done += ended
        self.members = {lane: members for lane, members in self.members.items() if members}
        for member in done:
            del self.left[member]
            self.mine.discard(member)
            for after in self._after.pop(member.work, ()):
                after.missing -= 1
                self._join([after] if not after.missing else [])


def forecast(
    ahead: Sequence[Remaining], mine: Sequence[Remaining], behind: Sequence[Remaining], pace: Pace
) -> Forecast:
    """Plays lanes in turns, a step each, slots filled in order, until all of ``mine`` is done.

    ``ahead`` is batched first, ``behind`` last; both take their lanes' turns.
    """
    owned = chain(
        ((each, False) for each in ahead), ((each, True) for each in mine), ((each, False) for each in behind)
    )
    members = [_Member(each.work, each.steps, place, own) for place, (each, own) in enumerate(owned)]
    lanes = _Lanes(members, pace.rows_for)
    clock, start, waited = 0.0, None, False
    for _ in range(MAX_PHASES):
        if not lanes.mine:
            break
        batched = lanes.fill_slots()
        running = list(chain.from_iterable(batched.values()))
        if start is None and any(member.denoises_mine for member in running):
            start = clock
        waited |= start is None and any(
            member.denoises_mine for member in chain.from_iterable(lanes.members.values())
        )
        steps = min(member.left for member in running)
        clock += steps * pace.round_seconds(batched)
        lanes.advance(batched, steps)
    else:
        clock += sum(_alone(member, pace) for member in lanes.left)
    denoising = [each.work for each in mine if each.work.denoising]
    position = _waiting(ahead, denoising[0].key) if waited else 0
    return Forecast(start or 0.0, clock, position, all(pace.cost.measured(work.key) for work in denoising))


def _alone(member: _Member, pace: Pace) -> float:
    """Seconds of what a member has left, if it shared nothing."""
    own, *previews = member.rows
    shown = sum(rows * pace.step_seconds(lane, 1) for lane, rows in previews)
    return (pace.step_seconds(*own) + shown) * member.left


def _waiting(ahead: Sequence[Remaining], lane: BatchKey) -> int:
    return sum(each.work.key == lane and each.work.denoising for each in ahead)
