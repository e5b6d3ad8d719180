"""Between the tasks of one request and the stream that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

from kandinsky_server.flows.concurrency import forget
from kandinsky_server.flows.events import Event


class Mailbox:
    """Keeps every result, but of progress and previews only the newest unread: a slow reader costs no memory."""

    def __init__(self) -> None:
        self._events: dict[Hashable, Event] = {}
        self._serial = 0
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Adds an event that must arrive."""
        self._serial += 1
        self._post(self._serial, event)

    def replace(self, key: Hashable, event: Event) -> None:
        """Puts an event in place of the unread one with the same key."""
        self._post((key,), event)

    def waiting(self, key: Hashable) -> bool:
        """Whether the event last put under ``key`` has not been read."""
        return (key,) in self._events

    def _post(self, key: Hashable, event: Event) -> None:
        self._events[key] = event
        self._news.set()

    async def stream(self, work: Callable[[], Awaitable[None]]) -> AsyncIterator[Event]:
        """Runs ``work`` and yields what it posts, in order; ends, or raises, as it does.

        Closing the iterator cancels the work and waits until it has ended.
        """
        task = asyncio.ensure_future(work())
        told = False
        task.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._events:
                    yield self._events.pop(next(iter(self._events)))
                if task.done():
                    break
            told = True
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not told and not task.cancelled() and (failure := task.exception()):
                forget(failure)
