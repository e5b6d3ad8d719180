"""When work would finish: the engine's own rules played forward on predicted step times."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.load import Load
from kandinsky_server.engine.trajectory import LaneKey

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

    ``company`` is how many rows others usually have in each lane. Those who leave are taken to be replaced up to that.
    """

    cost: CostModel
    rows_for: Callable[[LaneKey], int]
    company: Mapping[LaneKey, float]

    def turn_seconds(self, lane: LaneKey, seated: Sequence[_Member]) -> float:
        """One turn of a lane. Where there is less than a row on the average, there is a turn only so often."""
        mine = sum(member.load.rows for member in seated if member.mine)
        others = sum(member.load.rows for member in seated if not member.mine)
        usual = min(self.company.get(lane, 0.0), self.rows_for(lane) - mine)
        rows = mine + max(others, usual)
        return min(1.0, rows) * self.cost.step_seconds(lane, max(1.0, rows))


@dataclass
class _Member:
    """``place`` sorts who is seated first."""

    load: Load
    place: int
    mine: bool
    left: int

    def followers(self) -> list[_Member]:
        return [_Member(load, self.place, self.mine, load.steps) for load in self.load.then]


class _Lanes:
    """Who waits or is seated in each lane, in order."""

    def __init__(self, rows_for: Callable[[LaneKey], int]) -> None:
        self.members: dict[LaneKey, list[_Member]] = {}
        self._rows_for = rows_for

    @property
    def all(self) -> Iterator[_Member]:
        return chain.from_iterable(self.members.values())

    def join(self, members: Iterable[_Member]) -> None:
        for member in members:
            insort(self.members.setdefault(member.load.lane, []), member, key=lambda other: other.place)

    def seat(self) -> dict[LaneKey, list[_Member]]:
        """In order while rows last; never nobody."""
        return {lane: _seated(members, self._rows_for(lane)) for lane, members in self.members.items()}

    def advance(self, seated: Mapping[LaneKey, Sequence[_Member]], steps: int) -> None:
        """Takes steps; those who have done their last leave, and what follows them joins."""
        for members in seated.values():
            for member in members:
                member.left -= steps
        for lane, members in seated.items():
            done = [member for member in members if member.left <= 0]
            self.members[lane] = [member for member in self.members[lane] if member.left > 0]
            for member in done:
                self.join(member.followers())
        self.members = {lane: members for lane, members in self.members.items() if members}


def forecast(ahead: Sequence[Load], mine: Sequence[Load], behind: Sequence[Load], pace: Pace) -> Forecast:
    """Plays lanes in turns, a step each, seats filled in order, until all of ``mine`` is done.

    ``ahead`` is seated first, ``behind`` last; both take their lanes' turns.
    """
    lanes = _Lanes(pace.rows_for)
    owned = chain(
        ((load, False) for load in ahead), ((load, True) for load in mine), ((load, False) for load in behind)
    )
    lanes.join(_Member(load, place, own, load.steps) for place, (load, own) in enumerate(owned))
    clock, start, waited = 0.0, None, False
    for _ in range(MAX_PHASES):
        if not any(member.mine for member in lanes.all):
            break
        seated = lanes.seat()
        running = [member for members in seated.values() for member in members]
        if start is None and any(map(_denoises_mine, running)):
            start = clock
        waited |= start is None and any(map(_denoises_mine, lanes.all))
        turns = (
            pace.turn_seconds(lane, seated.get(lane, ())) for lane in seated.keys() | pace.company.keys()
        )
        steps = min(member.left for member in running)
        clock += steps * sum(turns)
        lanes.advance(seated, steps)
    else:
        clock += sum(_alone(member, pace.cost) for member in lanes.all)
    denoising = [load for root in mine for load in root.all() if load.denoising]
    position = _waiting(ahead, denoising[0].lane) if waited else 0
    return Forecast(start or 0.0, clock, position, all(pace.cost.measured(load.lane) for load in denoising))


def _denoises_mine(member: _Member) -> bool:
    return member.mine and member.load.denoising


def _seated(members: Sequence[_Member], max_rows: int) -> list[_Member]:
    """In order while rows last, at least one; who needs no row has a seat anyway."""
    seated: list[_Member] = []
    rows, full = 0, False
    for member in members:
        full = full or (rows > 0 and rows + member.load.rows > max_rows)
        if not full or not member.load.rows:
            seated.append(member)
            rows += member.load.rows
    return seated


def _alone(member: _Member, cost: CostModel) -> float:
    """Seconds of what a member and its followers have left, if they shared nothing."""
    own = cost.step_seconds(member.load.lane, member.load.rows) * member.left
    return own + sum(_alone(follower, cost) for follower in member.followers())


def _waiting(ahead: Sequence[Load], lane: LaneKey) -> int:
    return sum(load.lane == lane and load.denoising for root in ahead for load in root.all())
