"""The event queue of one request; unread progress and previews are replaced by newer ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

from kandinsky_server.flows.concurrency import forget
from kandinsky_server.flows.events import Event
from kandinsky_server.flows.unread import Room


class Mailbox:
    """Keeps every result, but of progress and previews only the newest unread.

    What takes memory comes with room that was made for it, which is given back when it has been read.
    """

    def __init__(self) -> None:
        self._events: dict[Hashable, tuple[Event, Room | None]] = {}
        self._serial = 0
        self._news = asyncio.Event()

    def put(self, event: Event, room: Room | None = None) -> None:
        """Adds an event that must arrive."""
        self._serial += 1
        self._post(self._serial, event, room)

    def replace(self, key: Hashable, event: Event, room: Room | None = None) -> None:
        """Puts an event in place of the unread one with the same key."""
        self._post((key,), event, room)

    def drop(self, key: Hashable) -> None:
        """Takes back the unread event with this key, and its room."""
        _, room = self._events.pop((key,))
        if room:
            room.resize(0)

    def waiting(self, key: Hashable) -> bool:
        """Whether the event last put under ``key`` has not been read."""
        return (key,) in self._events

    def _post(self, key: Hashable, event: Event, room: Room | None) -> None:
        self._events[key] = event, room
        self._news.set()

    async def stream(self, work: Callable[[], Awaitable[None]]) -> AsyncIterator[Event]:
        """Runs ``work`` and yields what it posts, in order; ends, or raises, as it does.

        An event counts as read when the next one is asked for. Closing the iterator cancels the work and waits until it
        has ended.
        """
        task = asyncio.ensure_future(work())
        told = False
        task.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._events:
                    event, room = self._events.pop(next(iter(self._events)))
                    yield event
                    if room:
                        room.resize(0)
                if task.done():
                    break
            told = True
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not told and not task.cancelled() and (failure := task.exception()):
                forget(failure)
