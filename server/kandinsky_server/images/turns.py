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

    @property
    def waiting(self) -> list[str]:
        """The parties that wait, once for each turn."""
        return [party for party, line in self._waiting.items() for _ in line]

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
        self._waiting.setdefault(party, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(party, turn)
            raise

    def _leave(self, party: str, turn: asyncio.Future[None]) -> None:
        """Whoever waited has been cancelled: its turn goes on if it was given already, or else is waited for no more."""
        if not turn.cancelled():
            if turn.exception() is None:
                self.give()
        elif turn in (line := self._waiting.get(party, deque())):
            line.remove(turn)
            if not line:
                del self._waiting[party]

    def give(self) -> None:
        """Ends a turn: the next one is of the party that has waited longest since its last."""
        while self._waiting:
            party, line = self._waiting.popitem(last=False)
            turn = line.popleft()
            if line:
                self._waiting[party] = line
            # Not when it was cancelled, and its waiter has not heard of that yet.
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1

    def abandon(self, failure: Exception) -> None:
        """Has everyone who waits fail."""
        lines, self._waiting = list(self._waiting.values()), OrderedDict()
        for turn in (turn for line in lines for turn in line):
            if not turn.done():
                turn.set_exception(failure)
