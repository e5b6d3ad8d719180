"""Who gets a slot first."""

import math
from typing import Any

from kandinsky_server.engine.lane import AGING_SECONDS, Lane, effective_priority
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.ticket import HIGH, LOW, NORMAL, Ticket

from tests.engine.fakes import LANE, Count, run_of

NOW = 1000.0


def waiting(rows: int = 1, unserved: float = 0.0, **ticket: Any) -> Run[float]:
    run = run_of(Count(rows=rows), Ticket(**{"arrival": NOW, **ticket}))
    run.submitted = run.last_served = NOW - unserved
    return run


def lane_of(*runs: Run[Any]) -> Lane:
    return Lane(LANE, list(runs))


async def test_higher_class_goes_first() -> None:
    low, high, normal = waiting(priority=LOW), waiting(priority=HIGH), waiting(priority=NORMAL)
    assert lane_of(low, high, normal).form(NOW, 8) == [high, normal, low]


async def test_earliest_deadline_goes_first_within_a_class() -> None:
    never, late, soon = waiting(), waiting(deadline=NOW + 9), waiting(deadline=NOW + 1)
    assert lane_of(never, late, soon).form(NOW, 8) == [soon, late, never]


async def test_first_come_first_served_otherwise() -> None:
    second, first = waiting(arrival=NOW - 1), waiting(arrival=NOW - 2)
    assert lane_of(second, first).form(NOW, 8) == [first, second]


async def test_class_outweighs_deadline_and_arrival() -> None:
    urgent = waiting(priority=NORMAL, deadline=NOW + 1, arrival=NOW - 50)
    high = waiting(priority=HIGH)
    assert lane_of(urgent, high).form(NOW, 1) == [high]


async def test_waiting_raises_the_class_so_that_nothing_starves() -> None:
    starved, high = waiting(priority=LOW, unserved=3.5 * AGING_SECONDS), waiting(priority=HIGH)
    assert effective_priority(starved, NOW) == LOW + 3
    assert lane_of(high, starved).form(NOW, 1) == [starved]


async def test_service_does_not_end_the_raise() -> None:
    """So who has waited long is served to its end, and not for one step in a while."""
    run = waiting(priority=LOW, unserved=3.5 * AGING_SECONDS)
    run.take_slot(NOW)
    run.last_served = NOW + 1
    assert effective_priority(run, NOW + 1) == LOW + 3
    later = NOW + 1 + 0.5 * AGING_SECONDS
    assert effective_priority(run, later) == LOW + 4


async def test_time_in_a_seat_is_no_waiting() -> None:
    run, high = waiting(priority=LOW), waiting(priority=HIGH, arrival=NOW + 1)
    run.take_slot(NOW)
    run.last_served = NOW + 10 * AGING_SECONDS
    high.last_served = run.last_served
    assert effective_priority(run, run.last_served) == LOW
    assert lane_of(run, high).form(run.last_served, 1) == [high]


async def test_what_a_request_submits_later_keeps_the_raise() -> None:
    """Its decoder's steps need not wait again for what its prior's have waited for."""
    first = waiting(priority=LOW, unserved=3.5 * AGING_SECONDS)
    first.take_slot(NOW)
    second = run_of(Count(), first.ticket)
    assert effective_priority(second, second.submitted) == LOW + 3


async def test_seats_end_with_the_rows() -> None:
    runs = [waiting(rows=2, arrival=NOW - age) for age in (4, 3, 2, 1)]
    assert lane_of(*runs).form(NOW, 5) == runs[:2]


async def test_a_narrow_request_does_not_overtake_a_wide_one() -> None:
    first, wide, narrow = (waiting(rows=rows, arrival=NOW - age) for rows, age in ((2, 3), (4, 2), (1, 1)))
    assert lane_of(first, wide, narrow).form(NOW, 5) == [first]


async def test_a_trajectory_wider_than_the_batch_runs_alone() -> None:
    wide = waiting(rows=4)
    assert lane_of(wide, waiting(rows=1, priority=LOW)).form(NOW, 2) == [wide]


async def test_lane_is_as_urgent_as_its_most_urgent_member() -> None:
    assert lane_of(waiting(priority=LOW), waiting(priority=HIGH)).urgency(NOW) == HIGH


async def test_area_is_that_of_pictures_alone() -> None:
    shapes = {(64,): 1, (8, 16): 128, (3, 64, 64): 3 * 64 * 64}
    assert {shape: LANE.__class__("x", shape).area for shape in shapes} == shapes
    assert math.prod(()) == 1
