"""When work would finish: the engine's own rules played forward on predicted step times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.trajectory import LaneKey

MAX_PHASES = 400
"""Past so many joins and leaves the rest is taken as one block; a forecast must stay cheap."""


@dataclass(frozen=True)
class Load:
    """Work to come: ``steps`` network calls of ``rows`` rows each in a lane."""

    lane: LaneKey
    rows: int
    steps: int


@dataclass(frozen=True)
class Forecast:
    """Seconds from now to a request's first step and to its last, and what goes before it."""

    start: float
    finish: float
    position: int
    measured: bool


@dataclass
class _Member:
    load: Load
    left: int
    mine: bool


def forecast(
    ahead: Sequence[Load],
    mine: Sequence[Load],
    behind: Sequence[Load],
    cost: CostModel,
    rows_for: Callable[[LaneKey], int],
) -> Forecast:
    """Plays lanes in turns, a step each, seats filled in order, until all of ``mine`` is done.

    ``ahead`` is seated first, ``behind`` last; both take their lanes' turns. ``rows_for`` gives a lane's most rows a
    call.
    """
    lanes: dict[LaneKey, list[_Member]] = {}
    for own, loads in ((False, ahead), (True, mine), (False, behind)):
        for load in loads:
            lanes.setdefault(load.lane, []).append(_Member(load, load.steps, own))
    clock, start = 0.0, None
    for _ in range(MAX_PHASES):
        if not any(member.mine for members in lanes.values() for member in members):
            break
        seated = {key: _seat(members, rows_for(key)) for key, members in lanes.items()}
        if start is None and any(member.mine for members in seated.values() for member in members):
            start = clock
        turn = sum(
            cost.step_seconds(key, sum(member.load.rows for member in members))
            for key, members in seated.items()
        )
        steps = min(member.left for members in seated.values() for member in members)
        clock += steps * turn
        _advance(lanes, seated, steps)
    else:
        rest = (member for members in lanes.values() for member in members)
        clock += sum(cost.step_seconds(member.load.lane, member.load.rows) * member.left for member in rest)
    first_lane = mine[0].lane if mine else None
    position = sum(load.lane == first_lane for load in ahead) if start else 0
    return Forecast(start or 0.0, clock, position, all(cost.measured(load.lane) for load in mine))


def _seat(members: list[_Member], max_rows: int) -> list[_Member]:
    seated: list[_Member] = []
    rows = 0
    for member in members:
        if seated and rows + member.load.rows > max_rows:
            break
        seated.append(member)
        rows += member.load.rows
    return seated


def _advance(lanes: dict[LaneKey, list[_Member]], seated: dict[LaneKey, list[_Member]], steps: int) -> None:
    for key, members in seated.items():
        for member in members:
            member.left -= steps
        lanes[key] = [member for member in lanes[key] if member.left > 0]
        if not lanes[key]:
            del lanes[key]
