"""Running the parts of one request at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from kandinsky_server.errors import ServingError

T = TypeVar("T")


async def gather(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Runs all at once and returns their results in order; the first failure cancels the rest and is raised.

    Not with a TaskGroup, whose group of failures is a cause of the one that is raised, and holds it: a cycle.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
    failures = [error for task in tasks if not task.cancelled() and (error := task.exception())]
    # Of a failure and what it did to the others, the client hears of the former.
    failures.sort(key=lambda failure: not isinstance(failure, ServingError))
    for other in failures[1:]:
        forget(other)
    if failures:
        raise failures[0]
    return [task.result() for task in tasks]


def forget(error: BaseException) -> None:
    """Lets go of the frames that an error came through: whoever ends an error's way calls this.

    The frames hold what raised the error, which holds the error. Without this, the pictures and tensors in them stay
    until Python happens to look for cycles.
    """
    ends: list[BaseException | None] = [error]
    while ends:
        if (end := ends.pop()) is not None and end.__traceback__ is not None:
            end.__traceback__ = None
            ends += [end.__cause__, end.__context__]
