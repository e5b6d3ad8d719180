"""Who shares the next network call: the rule that the engine follows and forecasts play forward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

M = TypeVar("M")


def seat(members: Iterable[M], rows_of: Callable[[M], int], max_rows: int) -> list[M]:
    """The first of ``members``, which are in order, while rows last; one at least, if there is any.

    Members without rows wait beside the call and fill nothing.
    """
    seated: list[M] = []
    rows = 0
    for member in members:
        if rows and rows + rows_of(member) > max_rows:
            break
        seated.append(member)
        rows += rows_of(member)
    return seated
