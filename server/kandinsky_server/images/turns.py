"""Who goes next, where few may go at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """So many at a time; those who wait go party by party, one each round, so that nobody's many hold up another's one.

    Belongs to one event loop.
    """

    def __init__(self, count: int) -> None:
        self.free = count
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, party: str) -> AsyncIterator[None]:
        """Holds a turn for the length of the block."""
        await self.take(party)
        try:
            yield
        finally:
            self.give()

    async def take(self, party: str) -> None:
        """Waits for a turn; whoever has it has to `give` it back."""
        if self.free:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._waiting.setdefault(party, deque())
        line.append(turn)
        try:
            await turn
        except BaseException:
            if turn.cancelled():
                line.remove(turn)
                if not line:
                    del self._waiting[party]
            elif turn.exception() is None:
                # It was given, and the one who waited was cancelled before it could take it.
                self.give()
            raise

    def give(self) -> None:
        """Ends a turn: the next one is of the party that has waited longest since its last."""
        if not self._waiting:
            self.free += 1
            return
        party, line = self._waiting.popitem(last=False)
        turn = line.popleft()
        if line:
            self._waiting[party] = line
        turn.set_result(None)

    def abandon(self, failure: Exception) -> None:
        """Has everyone who waits fail."""
        lines, self._waiting = list(self._waiting.values()), OrderedDict()
        for turn in (turn for line in lines for turn in line):
            turn.set_exception(failure)
