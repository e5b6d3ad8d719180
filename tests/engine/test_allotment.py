"""What each client may hold of a bounded amount."""

import pytest
from kandinsky_server.engine.admission.allotment import Allotment


def grab(allotment: Allotment, holder: str, share: float | None = None) -> int:
    """Takes all that a holder is allowed and that is free; returns what it has then."""
    allowed = min(allotment.allowed(holder, share), allotment.held(holder) + allotment.size - allotment.taken)
    allotment.take(holder, max(0, allowed - allotment.held(holder)))
    return allotment.held(holder)


def test_a_holder_without_a_share_leaves_some_for_the_next_however_many_there_are() -> None:
    places = Allotment(256, default_share=0.75)
    assert [grab(places, f"client {k}") for k in range(4)] == [192, 48, 12, 3]
    assert grab(places, "client 4") == 1, "one place is had while there is any"


def test_what_others_give_back_is_allowed_again() -> None:
    places = Allotment(100, default_share=0.5)
    assert [grab(places, name) for name in ("a", "b")] == [50, 25]
    places.take("a", -50)
    assert places.allowed("b", None) == 50
    assert places.taken == 25


def test_a_share_of_its_own_does_not_shrink() -> None:
    places = Allotment(100, default_share=0.75)
    assert grab(places, "a") == 75
    assert places.allowed("b", 0.5) == 50
    assert places.most(0.5) == 50


@pytest.mark.parametrize("size", [1, 2])
def test_the_smallest_queue_has_a_place_for_anybody(size: int) -> None:
    assert grab(Allotment(size, default_share=0.1), "a") == 1
