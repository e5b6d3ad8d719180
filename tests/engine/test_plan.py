"""What a request has yet to submit, in its order."""

import pytest
from kandinsky_server.engine.load import Load, single_call
from kandinsky_server.engine.plan import Plan
from kandinsky_server.engine.trajectory import LaneKey

TEXT, PRIOR, DECODER = (LaneKey(name, (1,)) for name in ("text", "prior", "decoder"))
PICTURE = Load(DECODER, 2, 50)
EMBEDDING = Load(PRIOR, 2, 25, (PICTURE,))


@pytest.fixture
def plan() -> Plan:
    made = Plan()
    made.add([single_call(TEXT, (EMBEDDING,))] * 2)
    return made


def test_what_begins_leaves_and_says_what_follows(plan: Plan) -> None:
    assert plan.begin(TEXT, 1, 1) == (EMBEDDING,)
    assert len(list(plan)) == 1
    plan.add((EMBEDDING,))
    assert plan.begin(PRIOR, 2, 25) == (PICTURE,)
    assert list(plan) == [single_call(TEXT, (EMBEDDING,))]


def test_what_was_not_planned_has_nothing_to_follow(plan: Plan) -> None:
    assert plan.begin(DECODER, 2, 50) == ()
    assert plan.begin(TEXT, 1, 2) == ()
    assert len(list(plan)) == 2


def test_what_another_request_does_is_left_out_with_what_precedes_it(plan: Plan) -> None:
    assert plan.forgo("prior") == (PICTURE,)
    assert list(plan) == [single_call(TEXT, (EMBEDDING,))]
    assert plan.forgo("depth") == ()
