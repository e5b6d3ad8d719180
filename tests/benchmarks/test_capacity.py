"""The capacity model on step times that are made up, where what must come out can be said."""

import random

import pytest
from kandinsky_server.engine.trajectory import BatchKey

from benchmarks.capacity.steps import Step, StepTable
from benchmarks.capacity.workload import Arrival, Kind, Stretch, arrivals

pytest.importorskip("simpy")

from benchmarks.capacity.measured import Measured
from benchmarks.capacity.plan import replicas_for
from benchmarks.capacity.simulation import HOP_SECONDS, simulate

UNET, MOVQ = BatchKey("unet", (4, 8, 8)), BatchKey("movq", (4, 8, 8))
TABLE = StepTable({UNET: {1: 0.1, 8: 0.2}, MOVQ: {1: 0.05}}, [1.0], 0.0)
SHORT = Kind((Stretch(UNET, 1, 10), Stretch(MOVQ, 1, 1)), overhead=0.2, images=1)
LONG = Kind((Stretch(UNET, 1, 100),), overhead=0.0, images=1)


def test_one_request_alone_takes_its_steps_and_what_is_around_them() -> None:
    served = simulate([Arrival(1.0, 0)], [SHORT], TABLE)
    assert served.latencies == [pytest.approx(10 * 0.1 + 0.05 + 0.2 + 2 * HOP_SECONDS)]
    assert served.images_per_second == pytest.approx(1 / served.latencies[0])


def test_who_comes_later_joins_at_the_next_step() -> None:
    """Behind one of a hundred steps, ten take ten shared ones; a new lane waits for two of the other's besides."""
    served = simulate([Arrival(0.0, 1), Arrival(1.0, 0)], [SHORT, LONG], TABLE, max_rows=8)
    shared = TABLE.draw(UNET, 2, random.Random(0))
    assert served.latencies[1] == pytest.approx(10 * shared + 0.05 + 0.2, abs=3 * shared)
    # Where a step has room for one, it waits: it came later.
    alone = simulate([Arrival(0.0, 1), Arrival(1.0, 0)], [SHORT, LONG], TABLE, max_rows=1)
    assert alone.latencies[1] > 9.0


def test_two_replicas_serve_two_as_one_serves_one() -> None:
    one = simulate([Arrival(0.0, 0)], [SHORT], TABLE)
    two = simulate([Arrival(0.0, 0)] * 2, [SHORT], TABLE, replicas=2)
    assert two.latencies == pytest.approx(one.latencies * 2)


@pytest.mark.parametrize("bursts", [False, True])
def test_arrivals_keep_their_rate(bursts: bool) -> None:
    trace = arrivals(5.0, 2000.0, 3, bursts, random.Random(1))
    assert len(trace) / 2000 == pytest.approx(5.0, rel=0.05)
    early = sum(arrival.when % 20 < 5 for arrival in trace) / len(trace)
    assert early == pytest.approx(0.75 if bursts else 0.25, abs=0.03)


def test_a_table_is_made_of_steps_and_kept() -> None:
    steps = [Step(UNET, 2, seconds, ended) for seconds, ended in ((0.1, 1.0), (0.1, 1.102), (0.2, 1.304))]
    table = StepTable.of(steps)
    assert table.medians == {UNET: {2: 0.1}}
    assert table.spread == [1.0, 1.0, 2.0]
    assert table.gap == pytest.approx(0.002)
    assert StepTable.from_json(table.to_json()).medians == table.medians


def test_a_kind_is_what_was_seen_of_it() -> None:
    steps = [Step(UNET, 2, 0.1, 0.0)] * 3 + [Step(MOVQ, 1, 0.05, 0.0)]
    kind = Kind.seen(steps, 0.4, 1)
    assert kind.stretches == (Stretch(UNET, 2, 3), Stretch(MOVQ, 1, 1))
    assert kind.overhead == pytest.approx(0.05)
    assert Kind.from_json(kind.to_json()) == kind


@pytest.mark.slow
def test_more_images_need_more_replicas_and_some_cannot_be_had() -> None:
    measured = Measured(TABLE, (SHORT,), max_rows=8, rate=1.0)
    found = [replicas_for(measured, rate, 3.0, seconds=60.0) for rate in (2.0, 40.0)]
    assert None not in found
    (few, fleet), (many, _) = (each for each in found if each)
    assert fleet.percentile(0.99) < 3.0
    assert 1 <= few < many
    assert replicas_for(measured, 1.0, 1.0, seconds=60.0, most=4) is None
