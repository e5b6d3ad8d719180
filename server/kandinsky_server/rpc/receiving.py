"""Places for messages that are on their way in: nobody's is read before there is one."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kandinsky_server.errors import ReceiveTimedOut, ReceivingFull

WAITING = 2048
"""Calls that may wait for a place. Until they have one, gRPC holds what the HTTP/2 window lets in, 64 KiB each."""

REMEMBERED = 4096
"""Groups that were slow."""

RETRY_SECONDS = 1.0

Message = TypeVar("Message")


class Reading:
    """One message that is being received, or waits to be."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.limit = asyncio.timeout(None)
        self.ticks = 0
        self.cut = False


class Receiving:
    """``places`` messages are received at once, each for ``seconds`` at most.

    A group is a client, or a connection. Who waits is let in by turns, groups that are receiving least first; one that
    was slow counts as receiving one more, until a message of it comes in time. Nobody is kept waiting by slow senders:
    while a group waits that receives less than they do, they have some ``patience`` seconds. Belongs to the event loop.
    """

    def __init__(self, places: int, seconds: float, patience: float) -> None:
        self.places = places
        self.seconds = seconds
        self.patience = patience
        self.readings: dict[Reading, None] = {}
        """Oldest first."""
        self.waiting: dict[str, deque[Reading]] = {}
        self._receiving = Counter[str]()
        self._slow: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def receive(self, group: str, read: Callable[[], Awaitable[Message]]) -> Message:
        """What ``read`` returns, once there is a place for it.

        Raises:
            ReceivingFull: too many wait, or others waited and this one took its time.
            ReceiveTimedOut: it took too long.
        """
        reading = Reading(group)
        try:
            if self.waiting or len(self.readings) >= self.places:
                await self._wait(reading)
            else:
                self._admit(reading)
            async with asyncio.timeout(self.seconds) as reading.limit:
                message = await read()
            self._slow.pop(group, None)
            return message
        except TimeoutError:
            self._remember(group)
            if reading.cut:
                raise _full("others wait while this message takes its time") from None
            raise ReceiveTimedOut(
                f"the message did not arrive within {self.seconds:g} s", limit_seconds=f"{self.seconds:g}"
            ) from None
        finally:
            self._leave(reading)

    async def _wait(self, reading: Reading) -> None:
        self._make_room(reading.group)
        self.waiting.setdefault(reading.group, deque()).append(reading)
        self._arm()
        await reading.turn

    def _make_room(self, group: str) -> None:
        """Sends the last of the longest line away when too many wait; raises when that is the newcomer."""
        if sum(map(len, self.waiting.values())) < WAITING:
            return
        longest = max(self.waiting.values(), key=len)
        if len(longest) <= len(self.waiting.get(group, ())) + 1:
            raise _full("too many calls wait for their message to be read")
        last = longest[-1]
        self._forget(last)
        if not last.turn.done():
            last.turn.set_exception(_full("too many calls of this client wait for their message to be read"))

    def _remember(self, group: str) -> None:
        """That the group was slow; the oldest are forgotten when they are many."""
        self._slow[group] = None
        if len(self._slow) > REMEMBERED:
            del self._slow[next(iter(self._slow))]

    def _rank(self, group: str) -> int:
        return self._receiving[group] + (group in self._slow)

    def _admit(self, reading: Reading) -> None:
        self.readings[reading] = None
        self._receiving[reading.group] += 1

    def _leave(self, reading: Reading) -> None:
        """Takes a reading off, wherever it is, and lets the next ones in."""
        self._forget(reading)
        if reading in self.readings:
            del self.readings[reading]
            self._receiving[reading.group] -= 1
            if not self._receiving[reading.group]:
                del self._receiving[reading.group]
        while self.waiting and len(self.readings) < self.places:
            group = min(self.waiting, key=self._rank)
            line = self.waiting.pop(group)
            following = line.popleft()
            if line:
                self.waiting[group] = line
            if not following.turn.done():  # it may have been cancelled a moment ago
                self._admit(following)
                following.turn.set_result(None)

    def _forget(self, reading: Reading) -> None:
        line = self.waiting.get(reading.group, ())
        if line and reading in line:
            line.remove(reading)
            if not line:
                del self.waiting[reading.group]

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.patience / 2, self._tick)

    def _tick(self) -> None:
        """Ends slow readings of groups that receive more than one that waits does.

        Two ticks, not a time, are what a reading is given: the loop hears of what has arrived between them, however
        busy it is.
        """
        self._timer = None
        if not self.waiting:
            return
        self._arm()
        ranks = {reading.group: self._rank(reading.group) for reading in self.readings}
        least = min(map(self._rank, self.waiting))
        for reading in self.readings:
            reading.ticks += 1
        slow = [reading for reading in self.readings if reading.ticks > 2 and not reading.cut]
        slow.sort(key=lambda reading: -ranks[reading.group])
        for reading in slow[: sum(map(len, self.waiting.values()))]:
            if ranks[reading.group] > least and not reading.limit.expired():
                ranks[reading.group] -= 1
                reading.cut = True
                reading.limit.reschedule(0)


def _full(why: str) -> ReceivingFull:
    return ReceivingFull(f"{why}; send it again later", RETRY_SECONDS)
