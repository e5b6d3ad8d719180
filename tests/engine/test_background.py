"""Whom requests find when they arrive."""

import pytest
from kandinsky_server.engine.admission.background import FEW_ROWS, SMOOTHING, BackgroundLoad
from kandinsky_server.engine.trajectory import BatchKey

from tests.engine.fakes import planned

ONE, OTHER = BatchKey("one", (8, 8)), BatchKey("other", (8, 8))


@pytest.fixture
def background() -> BackgroundLoad:
    return BackgroundLoad()


def test_it_comes_to_what_arrivals_find(background: BackgroundLoad) -> None:
    background.observe([planned(ONE, 2, 10), planned(ONE, 1, 5)])
    assert background.rows == {ONE: pytest.approx(3 * SMOOTHING)}
    for _ in range(100):
        background.observe([planned(ONE, 2, 10), planned(ONE, 1, 5), planned(OTHER, 4, 1)])
    assert background.rows == {ONE: pytest.approx(3, rel=0.01), OTHER: pytest.approx(4, rel=0.01)}


def test_what_is_there_now_and_then_is_a_part_of_a_row(background: BackgroundLoad) -> None:
    for _ in range(100):
        background.observe([planned(ONE, 1, 1)])
        background.observe([])
    assert background.rows[ONE] == pytest.approx(0.5, rel=0.1)


def test_lanes_that_nobody_uses_any_more_are_forgotten(background: BackgroundLoad) -> None:
    background.observe([planned(ONE, 1, 1)])
    while background.rows:
        before = background.rows[ONE]
        background.observe([])
    assert before * (1 - SMOOTHING) < FEW_ROWS


def test_an_idle_server_has_none(background: BackgroundLoad) -> None:
    background.observe([planned(ONE, 1, 1)])
    background.forget()
    assert not background.rows
