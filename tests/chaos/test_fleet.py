"""Two servers behind the real Envoy: one is killed, then one drains, and every request gets its one right answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos import FLAGS, INTERVAL, Chaos
from benchmarks.fleet import envoy
from benchmarks.fleet.crowd import Outcome
from benchmarks.fleet.envoy import Envoy
from benchmarks.fleet.replicas import Replicas
from benchmarks.repeats import TOLERANCE
from benchmarks.setting import Setting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not envoy.installed(), reason=envoy.MISSING),
]


@pytest.fixture(scope="module")
def replicas(tiny_model: Path) -> Iterator[Replicas]:
    with Replicas(Setting(tiny_model), 2, *FLAGS) as running:
        yield running


@pytest.fixture(scope="module")
def chaos(replicas: Replicas) -> Iterator[Chaos]:
    with Envoy({"kandinsky": replicas.targets}) as proxy:
        yield Chaos(replicas, proxy, clients=4)


def check(chaos: Chaos, outcomes: list[Outcome]) -> None:
    assert not [each.error for each in outcomes if each.error]
    assert max(chaos.differences(outcomes)) <= TOLERANCE
    assert chaos.ran_twice(outcomes) == 0


def test_nobody_loses_an_answer_to_a_kill_or_a_drain(chaos: Chaos, replicas: Replicas) -> None:
    """The killed one's request goes on elsewhere to the same bits; clients of the draining one run no step again."""
    lost = chaos.lose_one(replicas.kill)
    (outcome,) = chaos.alone
    assert outcome.tries > 1
    assert outcome.again <= INTERVAL
    assert not chaos.changed([outcome])
    check(chaos, [outcome])
    chaos.revive(lost)
    crowd = chaos.crowd(INTERVAL)
    with crowd.asking():
        crowd.wait_for(4)
        replicas.drain(0)
        crowd.wait_for(4)
    check(chaos, crowd.outcomes)
    assert {each.again for each in crowd.outcomes} == {0}
