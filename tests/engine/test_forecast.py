"""Forecasts play the engine's rules forward."""

from collections.abc import Sequence

import pytest
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.forecast import Forecast, Load, forecast
from kandinsky_server.engine.trajectory import LaneKey

ONE, OTHER = LaneKey("one", (8, 8)), LaneKey("other", (8, 8))


@pytest.fixture
def cost() -> CostModel:
    """A second a step whatever the rows, in both lanes."""
    model = CostModel()
    for lane in (ONE, OTHER):
        for rows in range(1, 17):
            model.observe(lane, rows, 1.0)
    return model


def predict(cost: CostModel, ahead: list[Load], mine: list[Load], behind: Sequence[Load] = ()) -> Forecast:
    return forecast(ahead, mine, behind, cost, lambda lane: 4)


def test_alone_it_takes_its_steps(cost: CostModel) -> None:
    assert predict(cost, [], [Load(ONE, 2, 10)]) == Forecast(0.0, 10.0, 0, True)


def test_sharing_a_batch_costs_nothing_extra(cost: CostModel) -> None:
    found = predict(cost, [Load(ONE, 2, 100)], [Load(ONE, 2, 10)])
    assert (found.start, found.finish) == (0.0, 10.0)


def test_a_full_batch_makes_it_wait(cost: CostModel) -> None:
    found = predict(cost, [Load(ONE, 4, 7)], [Load(ONE, 2, 10)])
    assert (found.start, found.finish, found.position) == (7.0, 17.0, 1)


def test_work_that_comes_after_takes_no_seat(cost: CostModel) -> None:
    found = predict(cost, [], [Load(ONE, 4, 10)], behind=[Load(ONE, 4, 7)])
    assert (found.start, found.finish, found.position) == (0.0, 10.0, 0)


def test_work_that_comes_after_takes_its_own_lanes_turns(cost: CostModel) -> None:
    assert predict(cost, [], [Load(ONE, 4, 10)], behind=[Load(OTHER, 4, 7)]).finish == 17.0


def test_lanes_take_turns(cost: CostModel) -> None:
    found = predict(cost, [Load(OTHER, 2, 5)], [Load(ONE, 2, 10)])
    assert (found.start, found.finish) == (0.0, 15.0)


def test_all_of_a_request_counts(cost: CostModel) -> None:
    found = predict(cost, [], [Load(ONE, 2, 10)] * 4)
    assert found.finish == 20.0


def test_a_request_of_two_halves_ends_with_the_longer(cost: CostModel) -> None:
    assert predict(cost, [], [Load(ONE, 2, 3), Load(OTHER, 2, 5)]).finish == 8.0


def test_unmeasured_lane_makes_it_a_guess(cost: CostModel) -> None:
    assert not predict(cost, [], [Load(LaneKey("third", (1,)), 1, 1)]).measured


def test_nothing_to_do_takes_no_time(cost: CostModel) -> None:
    assert predict(cost, [Load(ONE, 4, 7)], []) == Forecast(0.0, 0.0, 0, True)


def test_a_thousand_joins_stay_finite(cost: CostModel) -> None:
    ahead = [Load(ONE, 1, steps) for steps in range(1, 1001)]
    found = predict(cost, ahead, [Load(ONE, 1, 1)])
    assert found.finish >= 400
