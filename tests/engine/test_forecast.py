"""Forecasts play the engine's rules forward."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from kandinsky_server.engine.admission.forecast import Forecast, Pace, forecast
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.work import Remaining, Shown, Work, whole

from tests.engine.clockwork import Clockwork
from tests.engine.fakes import call, planned

ONE, OTHER = BatchKey("one", (8, 8)), BatchKey("other", (8, 8))


@pytest.fixture
def cost() -> CostModel:
    """A second a step whatever the rows, in both lanes."""
    model = CostModel()
    for lane in (ONE, OTHER):
        for rows in range(1, 17):
            model.observe(lane, rows, 1.0)
    return model


def predict(
    cost: CostModel,
    ahead: list[Work[Any]],
    mine: list[Work[Any]],
    behind: Sequence[Work[Any]] = (),
    background: Mapping[BatchKey, float] = {},
) -> Forecast:
    return forecast(whole(ahead), whole(mine), whole(behind), Pace(cost, lambda lane: 4, background))


def test_alone_it_takes_its_steps(cost: CostModel) -> None:
    assert predict(cost, [], [planned(ONE, 2, 10)]) == Forecast(0.0, 10.0, 0, True)


def test_sharing_a_batch_costs_nothing_extra(cost: CostModel) -> None:
    found = predict(cost, [planned(ONE, 2, 100)], [planned(ONE, 2, 10)])
    assert (found.start, found.finish) == (0.0, 10.0)


def test_a_full_batch_makes_it_wait(cost: CostModel) -> None:
    found = predict(cost, [planned(ONE, 4, 7)], [planned(ONE, 2, 10)])
    assert (found.start, found.finish, found.position) == (7.0, 17.0, 1)


def test_work_that_comes_after_takes_no_seat(cost: CostModel) -> None:
    found = predict(cost, [], [planned(ONE, 4, 10)], behind=[planned(ONE, 4, 7)])
    assert (found.start, found.finish, found.position) == (0.0, 10.0, 0)


def test_work_that_comes_after_takes_its_own_lanes_turns(cost: CostModel) -> None:
    assert predict(cost, [], [planned(ONE, 4, 10)], behind=[planned(OTHER, 4, 7)]).finish == 17.0


def test_lanes_take_turns(cost: CostModel) -> None:
    found = predict(cost, [planned(OTHER, 2, 5)], [planned(ONE, 2, 10)])
    assert (found.start, found.finish) == (0.0, 15.0)


def test_all_of_a_request_counts(cost: CostModel) -> None:
    found = predict(cost, [], [planned(ONE, 2, 10) for _ in range(4)])
    assert found.finish == 20.0


def test_a_request_of_two_halves_ends_with_the_longer(cost: CostModel) -> None:
    assert predict(cost, [], [planned(ONE, 2, 3), planned(OTHER, 2, 5)]).finish == 8.0


def test_unmeasured_lane_makes_it_a_guess(cost: CostModel) -> None:
    assert not predict(cost, [], [planned(BatchKey("third", (1,)), 1, 1)]).measured


def test_nothing_to_do_takes_no_time(cost: CostModel) -> None:
    assert predict(cost, [planned(ONE, 4, 7)], []) == Forecast(0.0, 0.0, 0, True)


def test_a_thousand_joins_stay_finite(cost: CostModel) -> None:
    ahead = [planned(ONE, 1, steps) for steps in range(1, 1001)]
    found = predict(cost, ahead, [planned(ONE, 1, 1)])
    assert found.finish >= 400


def test_what_follows_takes_its_own_time(cost: CostModel) -> None:
    """Three turns of both lanes, then two with the other's last steps, then three alone."""
    first = planned(ONE, 2, 3)
    mine = [first, planned(OTHER, 2, 5, first)]
    assert predict(cost, [], mine).finish == 8.0
    assert predict(cost, [planned(OTHER, 2, 5)], mine).finish == 3 * 2 + 2 + 3


def test_what_needs_several_waits_for_the_last(cost: CostModel) -> None:
    """Five turns of both lanes; only then do three steps of one lane begin."""
    short, long = planned(ONE, 2, 3), planned(OTHER, 2, 5)
    found = predict(cost, [], [planned(ONE, 2, 3, short, long), short, long])
    assert found.finish == 3 * 2 + 2 + 3


def test_what_has_ended_or_is_done_elsewhere_is_not_waited_for(cost: CostModel) -> None:
    assert predict(cost, [], [planned(ONE, 2, 10, planned(OTHER, 2, 5))]).finish == 10.0


def test_those_who_follow_one_another_do_so_in_company_too(cost: CostModel) -> None:
    first = planned(OTHER, 4, 2)
    ahead = [first, planned(ONE, 4, 3, first)]
    assert predict(cost, ahead, [planned(ONE, 2, 10)]).finish == 2 * 2 + 3 + 8


def test_the_first_step_is_a_denoising_step(cost: CostModel) -> None:
    encoder = call(OTHER)
    encoded = [encoder, planned(ONE, 2, 10, encoder)]
    assert predict(cost, [], encoded) == Forecast(1.0, 11.0, 0, True)
    assert predict(cost, [planned(ONE, 4, 7)], encoded) == Forecast(8.0, 18.0, 1, True)


def test_encoders_that_were_never_measured_make_no_guess(cost: CostModel) -> None:
    encoder = call(BatchKey("encoder", (1,)))
    assert predict(cost, [], [encoder, planned(ONE, 2, 10, encoder)]).measured


def previewed(steps: int, interval: int, rows: int = 2) -> list[Work[Any]]:
    """Steps with previews beside them, which the call that follows makes too."""
    steps_of_it = replace(planned(ONE, rows, steps), shown=Shown(OTHER, interval) if interval else None)
    return [steps_of_it, call(OTHER, steps_of_it)]


@pytest.mark.parametrize(
    ("interval", "previews"), [(0, 0), (1, 5), (2, 4), (3, 3), (5, 1), (9, 1), (10, 0), (2**31 - 1, 0)]
)
def test_previews_take_their_own_time(cost: CostModel, interval: int, previews: int) -> None:
    """After every ``interval`` of ten steps, but not after the last; after every second at most."""
    mine = previewed(10, interval)
    assert predict(cost, [], mine).finish == pytest.approx(10 + previews + 1)
    assert predict(cost, mine, [planned(ONE, 2, 10)]).finish == pytest.approx(10 + previews)


def test_previews_of_what_has_begun_are_those_still_to_come(cost: CostModel) -> None:
    (steps, _) = previewed(10, 3)
    found = forecast([Remaining(steps, 4)], whole([planned(ONE, 2, 4)]), [], Pace(cost, lambda lane: 4, {}))
    assert found.finish == pytest.approx(4 + 1)


def test_previews_of_one_request_share_their_calls(cost: CostModel) -> None:
    mine = [work for _ in range(4) for work in previewed(10, 2, rows=1)]
    assert predict(cost, [], mine).finish == pytest.approx(10 + 10 + 1), "at most one a step"


def test_previews_count_past_what_is_played_forward(cost: CostModel) -> None:
    ahead = [planned(ONE, 4, steps) for steps in range(1, 1001)]
    with_previews, without = (predict(cost, ahead, previewed(101, k)).finish for k in (2, 0))
    assert with_previews - without == pytest.approx(50)


def test_waiting_for_another_requests_steps_takes_no_seat(cost: CostModel) -> None:
    wait = planned(ONE, 0, 6, denoising=False)
    assert predict(cost, [planned(ONE, 4, 6)], [wait]) == Forecast(0.0, 6.0, 0, True)
    assert predict(cost, [planned(ONE, 4, 6), wait], [planned(ONE, 2, 10)]).finish == 16.0


@pytest.fixture
def dear() -> CostModel:
    """A second a row."""
    model = CostModel()
    for lane in (ONE, OTHER):
        for rows in range(1, 17):
            model.observe(lane, rows, float(rows))
    return model


def test_company_that_leaves_is_replaced_up_to_what_is_usual(dear: CostModel) -> None:
    ahead, mine = [planned(ONE, 3, 4)], [planned(ONE, 1, 10)]
    assert predict(dear, ahead, mine).finish == 4 * 4 + 6 * 1
    assert predict(dear, ahead, mine, background={ONE: 2.0}).finish == 4 * 4 + 6 * 3
    assert predict(dear, ahead, mine, background={ONE: 9.0}).finish == 10 * 4


def test_other_lanes_usual_turns_are_waited_for(dear: CostModel) -> None:
    mine = [planned(ONE, 1, 10)]
    assert predict(dear, [], mine, background={OTHER: 2.0}).finish == 30.0
    assert predict(dear, [], mine, background={OTHER: 0.25}).finish == 12.5


@pytest.mark.parametrize(("clients", "max_rows"), [(1, 8), (3, 8), (8, 8), (8, 32), (16, 8)])
def test_under_steady_load_four_of_five_end_within_30_percent_of_what_was_predicted(
    clients: int, max_rows: int
) -> None:
    clockwork = Clockwork(clients, max_rows)
    clockwork.run(300)
    near = [abs(job.predicted - job.took) <= 0.3 * job.took for job in clockwork.answered[20:]]
    assert sum(near) >= 0.8 * len(near)
