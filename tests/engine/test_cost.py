"""Step times: measured, averaged, and guessed where nothing was measured."""

import time

import pytest
from kandinsky_server.engine.cost import (
    BEST_RISES,
    CHANCE_SECONDS,
    SMOOTHING,
    UNMEASURED_SECONDS,
    CostModel,
)
from kandinsky_server.engine.trajectory import BatchKey

SMALL, LARGE = BatchKey("decoder", (8, 8)), BatchKey("decoder", (8, 16))


@pytest.fixture
def cost() -> CostModel:
    return CostModel()


def test_nothing_measured_is_a_guess(cost: CostModel) -> None:
    assert cost.step_seconds(SMALL, 4) == UNMEASURED_SECONDS
    assert not cost.measured(SMALL)


def test_measured_time_is_returned(cost: CostModel) -> None:
    cost.observe(SMALL, 2, 0.5)
    assert cost.step_seconds(SMALL, 2) == 0.5
    assert cost.measured(SMALL)


def test_new_measurements_move_the_average(cost: CostModel) -> None:
    cost.observe(SMALL, 2, 1.0)
    cost.observe(SMALL, 2, 2.0)
    assert cost.step_seconds(SMALL, 2) == pytest.approx(1.0 + SMOOTHING)
    for _ in range(50):
        cost.observe(SMALL, 2, 2.0)
    assert cost.step_seconds(SMALL, 2) == pytest.approx(2.0, rel=0.01)


def test_warm_up_is_forgotten_at_once(cost: CostModel) -> None:
    cost.observe(SMALL, 2, 30.0)
    cost.observe(SMALL, 2, 0.5)
    assert cost.step_seconds(SMALL, 2) == 0.5


def test_an_outlier_is_ignored_until_another_follows(cost: CostModel) -> None:
    cost.observe(SMALL, 2, 1.0)
    cost.observe(SMALL, 2, 20.0)
    assert cost.step_seconds(SMALL, 2) == 1.0
    cost.observe(SMALL, 2, 1.0)
    cost.observe(SMALL, 2, 20.0)
    assert cost.step_seconds(SMALL, 2) == 1.0
    cost.observe(SMALL, 2, 30.0)
    assert cost.step_seconds(SMALL, 2) == 20.0, "it has become slow"
    cost.observe(SMALL, 2, 1.0)
    assert cost.step_seconds(SMALL, 2) == 1.0, "and quick again"


def test_so_it_is_where_nothing_of_its_kind_was_measured(cost: CostModel) -> None:
    """Another number of rows, and another size: what is expected of them is known from the others."""
    cost.observe(SMALL, 2, 1.0)
    cost.observe(SMALL, 4, 20.0)
    cost.observe(LARGE, 2, 20.0)
    assert cost.step_seconds(SMALL, 4) == pytest.approx(1.5)
    assert cost.step_seconds(LARGE, 2) == pytest.approx(2.0)
    assert not cost.measured(LARGE)
    for _ in range(2):
        cost.observe(LARGE, 2, 20.0)
    assert cost.step_seconds(LARGE, 2) == 20.0


def test_hope_goes_by_the_best_of_late(cost: CostModel) -> None:
    for seconds in (1.0, 20.0, 20.0):
        cost.observe(SMALL, 2, seconds)
    assert cost.step_seconds(SMALL, 2) == 20.0
    assert cost.step_seconds(SMALL, 2, hopeful=True) == pytest.approx(BEST_RISES)
    for _ in range(100):
        cost.observe(SMALL, 2, 20.0)
    assert cost.step_seconds(SMALL, 2, hopeful=True) == pytest.approx(20.0)


def test_what_was_measured_once_is_doubted_after_a_while(
    cost: CostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost.observe(SMALL, 2, 20.0)
    assert cost.step_seconds(SMALL, 2, hopeful=True) == 20.0
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + CHANCE_SECONDS + 1)
    assert cost.step_seconds(SMALL, 2, hopeful=True) == 0.0
    assert cost.step_seconds(SMALL, 2) == 20.0


def test_rows_in_between_are_interpolated(cost: CostModel) -> None:
    cost.observe(SMALL, 2, 1.0)
    cost.observe(SMALL, 6, 3.0)
    assert cost.step_seconds(SMALL, 4) == pytest.approx(2.0)


def test_rows_beyond_grow_by_half(cost: CostModel) -> None:
    cost.observe(SMALL, 2, 1.0)
    assert cost.step_seconds(SMALL, 4) == pytest.approx(1.5)
    assert cost.step_seconds(SMALL, 1) == pytest.approx(0.75)


def test_unseen_size_borrows_by_area_from_its_network(cost: CostModel) -> None:
    cost.observe(SMALL, 2, 1.0)
    cost.observe(BatchKey("prior", (64,)), 2, 9.0)
    assert cost.step_seconds(LARGE, 2) == pytest.approx(2.0)
    assert not cost.measured(LARGE)
