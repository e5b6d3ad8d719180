"""Whom requests find when they arrive."""

import pytest
from kandinsky_server.engine.company import FEW_ROWS, SMOOTHING, Company
from kandinsky_server.engine.trajectory import LaneKey

from tests.engine.fakes import planned

ONE, OTHER = LaneKey("one", (8, 8)), LaneKey("other", (8, 8))


@pytest.fixture
def company() -> Company:
    return Company()


def test_it_comes_to_what_arrivals_find(company: Company) -> None:
    company.observe([planned(ONE, 2, 10), planned(ONE, 1, 5)])
    assert company.rows == {ONE: pytest.approx(3 * SMOOTHING)}
    for _ in range(100):
        company.observe([planned(ONE, 2, 10), planned(ONE, 1, 5), planned(OTHER, 4, 1)])
    assert company.rows == {ONE: pytest.approx(3, rel=0.01), OTHER: pytest.approx(4, rel=0.01)}


def test_what_is_there_now_and_then_is_a_part_of_a_row(company: Company) -> None:
    for _ in range(100):
        company.observe([planned(ONE, 1, 1)])
        company.observe([])
    assert company.rows[ONE] == pytest.approx(0.5, rel=0.1)


def test_lanes_that_nobody_uses_any_more_are_forgotten(company: Company) -> None:
    company.observe([planned(ONE, 1, 1)])
    while company.rows:
        before = company.rows[ONE]
        company.observe([])
    assert before * (1 - SMOOTHING) < FEW_ROWS


def test_an_idle_server_has_none(company: Company) -> None:
    company.observe([planned(ONE, 1, 1)])
    company.forget()
    assert not company.rows
