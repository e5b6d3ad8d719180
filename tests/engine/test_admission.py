"""Who is let in, and what those who are not are told."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from kandinsky_server.engine.admission.admission import Admission
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.ticket import HIGH, LOW, Ticket
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.work import Shown, Work
from kandinsky_server.errors import (
    DeadlineUnreachable,
    Draining,
    InvalidField,
    QueueFull,
    QuotaExceeded,
    Violation,
)

from tests.engine.fakes import LANE, Count, adder, call, planned, running, work_of

TEN_STEPS = planned(LANE, 1, 10)


@pytest.fixture
def admission() -> Admission:
    """Eight places, four slots, and a second a step."""
    cost = CostModel()
    for rows in range(1, 5):
        cost.observe(LANE, rows, 1.0)
    return Admission(Engine({LANE.network: adder(max_rows=4)}, cost), queue_size=8)


def ask_less(allowed: int) -> list[Violation]:
    return [Violation("image_count", f"at most {allowed}")]


def let_in(
    admission: Admission, count: int, works: Sequence[Work[Any]] | None = None, **ticket: Any
) -> Ticket:
    """Admits a request of ``works``, or of ``count`` times ten steps."""
    admitted = Ticket(**ticket)
    admission.admit(admitted, tens(count) if works is None else works, ask_less)
    return admitted


def tens(count: int) -> list[Work[Any]]:
    return [planned(LANE, 1, 10) for _ in range(count)]


def test_places_are_taken_and_given_back(admission: Admission) -> None:
    tickets = [let_in(admission, 3), let_in(admission, 2)]
    assert admission.length == 5
    assert not admission.empty.is_set()
    for ticket in tickets:
        admission.release(ticket)
        admission.release(ticket)
    assert admission.length == 0
    assert admission.empty.is_set()


def test_who_enters_holds_a_place_that_is_one_of_those_it_gets(admission: Admission) -> None:
    ticket = Ticket(client="modest", share=0.5)
    with admission.enter(ticket):
        assert admission.length == 1
        admission.admit(ticket, tens(4), ask_less)
        assert admission.length == 4
    assert admission.length == 0
    let_in(admission, 4, client="modest", share=0.5)


def test_who_needs_no_step_holds_a_place(admission: Admission) -> None:
    assert let_in(admission, 0).places == 1
    assert let_in(admission, 1, [call(LANE)]).places == 1


def test_what_is_advised_is_enough(admission: Admission) -> None:
    """Ten seconds alone; the deadline that was told is still met when the request has come a second time."""
    with pytest.raises(DeadlineUnreachable) as refusal:
        let_in(admission, 1, deadline=time.monotonic() + 1)
    advised = re.search(r"at least the ([\d.]+) s", refusal.value.message)
    assert advised
    let_in(admission, 1, deadline=time.monotonic() + float(advised[1]) - 0.05)


def test_no_one_enters_a_full_queue_or_over_its_share(admission: Admission) -> None:
    let_in(admission, 1, client="greedy", share=0.125)
    with pytest.raises(QuotaExceeded), admission.enter(Ticket(client="greedy", share=0.125)):
        pass
    let_in(admission, 7)
    with pytest.raises(QueueFull), admission.enter(Ticket()):
        pass


def test_a_full_queue_refuses_and_says_when(admission: Admission) -> None:
    let_in(admission, 6)
    with pytest.raises(QueueFull, match="6 of 8 places are taken and this request needs 3") as refusal:
        let_in(admission, 3)
    # Six of ten steps each, four at a time, take twenty seconds; half of them is soon enough to come back.
    assert refusal.value.retry_after == pytest.approx(10.0)
    assert admission.length == 6


def test_what_can_never_fit_is_the_clients_mistake(admission: Admission) -> None:
    with pytest.raises(InvalidField, match="at most 8, since this request needs 9 places"):
        let_in(admission, 9)


def test_one_client_cannot_take_more_than_its_share(admission: Admission) -> None:
    let_in(admission, 3, client="greedy", share=0.5)
    with pytest.raises(QuotaExceeded, match="'greedy' holds 3 places and may hold 4"):
        let_in(admission, 2, client="greedy", share=0.5)
    let_in(admission, 2, client="modest", share=0.5)


def test_released_places_count_for_the_share_again(admission: Admission) -> None:
    admission.release(let_in(admission, 4, client="greedy", share=0.5))
    let_in(admission, 4, client="greedy", share=0.5)


def test_a_deadline_that_can_be_met_later_is_refused_and_told_when(admission: Admission) -> None:
    """Ten seconds before it and ten of its own: five seconds on, the deadline of fifteen is met."""
    let_in(admission, 4)
    with pytest.raises(DeadlineUnreachable, match=r"about 20\.0 s .* retry in about 5\.0 s") as refusal:
        let_in(admission, 1, deadline=time.monotonic() + 15, priority=LOW)
    assert refusal.value.retry_after == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("others", [0, 4])
def test_a_deadline_that_can_never_be_met_is_refused_and_told_so(admission: Admission, others: int) -> None:
    """Ten seconds of its own do not fit into nine, however empty the queue is."""
    if others:
        let_in(admission, others)
    with pytest.raises(DeadlineUnreachable, match=r"no retry helps.*allow at least the 10\.2 s") as refusal:
        let_in(admission, 1, deadline=time.monotonic() + 9, priority=LOW)
    assert refusal.value.retry_after >= 0.9


def test_a_deadline_that_can_be_met_is_taken(admission: Admission) -> None:
    let_in(admission, 1, deadline=time.monotonic() + 60)


def test_a_guess_refuses_no_one() -> None:
    unmeasured = Admission(Engine({LANE.network: adder()}, CostModel()), queue_size=8)
    let_in(unmeasured, 1, deadline=time.monotonic() + 0.01)


def test_who_does_not_read_holds_nobody_up(admission: Admission) -> None:
    slow = let_in(admission, 4)
    assert admission.predict([TEN_STEPS], Ticket()).start > 0
    slow.unread = 1
    assert admission.predict([TEN_STEPS], Ticket()).start == 0


def test_a_draining_server_takes_nothing(admission: Admission) -> None:
    admission.draining = True
    with pytest.raises(Draining):
        let_in(admission, 1)
    with pytest.raises(Draining), admission.enter(Ticket()):
        pass


def test_the_urgent_are_promised_an_earlier_start(admission: Admission) -> None:
    let_in(admission, 4)
    assert admission.predict([TEN_STEPS], Ticket()).start == 10.0
    assert admission.predict([TEN_STEPS], Ticket(priority=HIGH)).start == 0.0


async def test_work_is_counted_once_whether_planned_or_running() -> None:
    async with running(adder(max_rows=1)) as engine:
        admission = Admission(engine, queue_size=8)
        counting = Count(steps=3)
        work = work_of(counting)
        ticket = let_in(admission, 1, [work])
        before = admission.predict([TEN_STEPS], Ticket(priority=LOW)).position
        run = engine.submit(work, counting, ticket)
        submitted = admission.predict([TEN_STEPS], Ticket(priority=LOW)).position
        await run.result()
    assert (before, submitted) == (1, 1)


async def test_what_follows_a_run_is_counted_while_it_runs_and_after() -> None:
    async with running(adder(max_rows=1)) as engine:
        admission = Admission(engine, queue_size=8)
        first = work_of(Count(steps=3))
        works = [first, planned(LANE, 1, 5, first)]
        ticket = let_in(admission, 1, works)
        ahead = [admission.predict([TEN_STEPS], Ticket(priority=LOW)).position]
        for work in works:
            run = engine.submit(work, Count(steps=work.steps), ticket)
            ahead.append(admission.predict([TEN_STEPS], Ticket(priority=LOW)).position)
            await run.result()
            ahead.append(admission.predict([TEN_STEPS], Ticket(priority=LOW)).position)
    assert ahead == [2, 2, 1, 1, 0]
    assert ticket.places == 2


async def test_what_looks_like_planned_work_is_not_taken_for_it() -> None:
    """A preview's call of MoVQ looks like the one that ends its image, or another's."""
    async with running(adder(max_rows=1)) as engine:
        admission = Admission(engine, queue_size=8)
        first = work_of(Count(steps=1))
        ticket = let_in(admission, 1, [first])
        preview = Count(steps=1)
        await engine.submit(work_of(preview), preview, ticket).result()
        assert list(ticket.planned) == [first]
        assert admission.predict([TEN_STEPS], Ticket(priority=LOW)).position == 1


async def test_previews_are_counted_while_planned_and_while_running() -> None:
    """Five of ten steps, which take as long as steps do; the steps are shared, the previews are not."""
    cost, movq = CostModel(), BatchKey("movq", (1,))
    for lane in (LANE, movq):
        for rows in range(1, 5):
            cost.observe(lane, rows, 1.0)
    admission = Admission(Engine({"adder": adder(max_rows=4), "movq": adder()}, cost), queue_size=8)
    work = replace(planned(LANE, 1, 10), shown=Shown(movq, 1))
    ticket = let_in(admission, 1, [work])
    found = [admission.predict([TEN_STEPS], Ticket(priority=LOW)).finish]
    # The engine does not run, so the trajectory stays at its first step.
    admission.engine.submit(work, Count(steps=10), ticket, preview_interval=1)
    found.append(admission.predict([TEN_STEPS], Ticket(priority=LOW)).finish)
    assert found == [pytest.approx(15.0)] * 2


def test_a_request_that_has_ended_keeps_no_work(admission: Admission) -> None:
    """Its ticket is in reports of steps; its work holds its pictures."""
    ticket = let_in(admission, 2)
    assert list(ticket.planned)
    admission.release(ticket)
    assert not list(ticket.planned)


def test_encoders_take_no_place(admission: Admission) -> None:
    encoder = call(LANE)
    ticket = let_in(admission, 1, [encoder, planned(LANE, 1, 10, encoder), planned(LANE, 1, 10, encoder)])
    assert ticket.places == admission.length == 2


def test_a_client_that_calls_again_and_again_is_no_company_to_itself(admission: Admission) -> None:
    for _ in range(20):
        admission.release(let_in(admission, 1))
    assert not admission.background.rows


def test_company_is_expected_to_stay_until_the_server_is_idle(admission: Admission) -> None:
    """Always one other, who has ten steps left; a second row makes a step longer by a fifth."""
    admission.engine.cost.observe(LANE, 2, 2.0)
    tickets = [let_in(admission, 1)]
    for _ in range(100):
        tickets.append(let_in(admission, 1))
        admission.release(tickets.pop(0))
    assert admission.predict([planned(LANE, 1, 100)], Ticket()).finish == pytest.approx(120.0, rel=0.01)
    admission.release(tickets.pop())
    assert admission.predict([planned(LANE, 1, 100)], Ticket()).finish == pytest.approx(100.0)
