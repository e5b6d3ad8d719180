"""When work would finish: the engine's own rules played forward on predicted step times."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
    ``hopeful`` takes the least that steps may take.
    """

    cost: CostModel
    rows_for: Callable[[LaneKey], int]
    company: Mapping[LaneKey, float]
    hopeful: bool = False

    def step_seconds(self, lane: LaneKey, rows: float) -> float:
        """One step of ``rows`` rows."""
        return self.cost.step_seconds(lane, rows, self.hopeful)

    def round_seconds(self, seated: Mapping[LaneKey, Sequence[_Member]]) -> float:
        """A turn of every lane that somebody is seated in, or usually is."""
        rest = sum(seconds for lane, seconds in self._others_alone.items() if lane not in seated)
        return rest + sum(self._turn_seconds(lane, members) for lane, members in seated.items())

    @cached_property
    def _others_alone(self) -> dict[LaneKey, float]:
        return {lane: self._turn_seconds(lane, ()) for lane in self.company}

    def _turn_seconds(self, lane: LaneKey, seated: Sequence[_Member]) -> float:
        """Where there is less than a row on the average, there is a turn only so often."""
        mine = sum(member.load.rows for member in seated if member.mine)
        others = sum(member.load.rows for member in seated if not member.mine)
        usual = min(self.company.get(lane, 0.0), self.rows_for(lane) - mine)
        rows = mine + max(others, usual)
        return min(1.0, rows) * self.step_seconds(lane, max(1.0, rows))


@dataclass(eq=False)
class _Member:
    """``place`` is its request's: the lower is seated first. Who needs no row takes nobody's seat."""

    load: Load
    place: int
    mine: bool
    left: int

    @property
    def order(self) -> tuple[bool, int]:
        return (self.load.rows > 0, self.place)

    @property
    def denoises_mine(self) -> bool:
        return self.mine and self.load.denoising

    def followers(self) -> list[_Member]:
        return [_Member(load, self.place, self.mine, load.steps) for load in self.load.then]


class _Lanes:
    """Who waits or is seated in each lane, in order; ``mine`` are those of the request that is forecast."""

    def __init__(self, rows_for: Callable[[LaneKey], int]) -> None:
        self.members: dict[LaneKey, list[_Member]] = {}
        self.mine: set[_Member] = set()
        self._rows_for = rows_for

    def join(self, members: Iterable[_Member]) -> None:
        for member in members:
            insort(self.members.setdefault(member.load.lane, []), member, key=lambda other: other.order)
            if member.mine:
                self.mine.add(member)

    def seat(self) -> dict[LaneKey, list[_Member]]:
        """The first of each lane while rows last; never nobody."""
        return {lane: _seated(members, self._rows_for(lane)) for lane, members in self.members.items()}

    def advance(self, seated: Mapping[LaneKey, Sequence[_Member]], steps: int) -> None:
        """Takes steps; those who have done their last leave, and what follows them joins."""
        done: list[_Member] = []
        for lane, members in seated.items():
            for member in members:
                member.left -= steps
            ended = [member for member in members if member.left <= 0]
            if ended:
                self.members[lane][: len(members)] = [member for member in members if member.left > 0]
                done += ended
        self.mine.difference_update(done)
        self.members = {lane: members for lane, members in self.members.items() if members}
        for member in done:
            self.join(member.followers())


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
        if not lanes.mine:
            break
        seated = lanes.seat()
        running = list(chain.from_iterable(seated.values()))
        if start is None and any(member.denoises_mine for member in running):
            start = clock
        waited |= start is None and any(member.denoises_mine for member in lanes.mine)
        steps = min(member.left for member in running)
        clock += steps * pace.round_seconds(seated)
        lanes.advance(seated, steps)
    else:
        clock += sum(_alone(member, pace) for member in chain.from_iterable(lanes.members.values()))
    denoising = [load for root in mine for load in root.all() if load.denoising]
    position = _waiting(ahead, denoising[0].lane) if waited else 0
    return Forecast(start or 0.0, clock, position, all(pace.cost.measured(load.lane) for load in denoising))


def _seated(members: Sequence[_Member], max_rows: int) -> list[_Member]:
    seated: list[_Member] = []
    rows = 0
    for member in members:
        if rows and rows + member.load.rows > max_rows:
            break
        seated.append(member)
        rows += member.load.rows
    return seated


def _alone(member: _Member, pace: Pace) -> float:
    """Seconds of what a member and its followers have left, if they shared nothing."""
    own = pace.step_seconds(member.load.lane, member.load.rows) * member.left
    return own + sum(_alone(follower, pace) for follower in member.followers())


def _waiting(ahead: Sequence[Load], lane: LaneKey) -> int:
    return sum(load.lane == lane and load.denoising for root in ahead for load in root.all())
