"""Who shares the next network call: the rule that the engine follows and forecasts play forward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

M = TypeVar("M")


def fill_slots(members: Iterable[M], rows_of: Callable[[M], int], max_rows: int) -> list[M]:
    """The first of ``members``, which are in order, while rows last; one at least, if there is any.

    Members without rows wait beside the call and fill nothing.
    """
    batched: list[M] = []
    rows = 0
    for member in members:
        if rows and rows + rows_of(member) > max_rows:
            break
        batched.append(member)
        rows += rows_of(member)
    return batched
