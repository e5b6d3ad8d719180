"""A submitted trajectory: what the asyncio side holds while the engine steps it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from torch import Tensor

from kandinsky_server.engine.followers import Followers
from kandinsky_server.engine.ticket import Precedence, Ticket
from kandinsky_server.engine.trajectory import Trajectory
from kandinsky_server.engine.work import Work

T = TypeVar("T")


@dataclass(frozen=True)
class Update:
    """How far a trajectory is; ``snapshot`` holds its latents when a preview is due, ``checkpoint`` its newest one."""

    step: int
    step_count: int
    snapshot: Tensor | None = None
    checkpoint: Any = None


class Run(Generic[T]):
    """One trajectory on its way through the engine. Created on the event loop, stepped on the engine's thread.

    Times are ``time.monotonic()`` seconds. ``work`` is what it does of its request's work. ``preview_interval`` and
    ``checkpoint_interval`` are in steps, 0 for none. The wait for slots goes on where the request's earlier runs left
    off. ``batched`` says that the present step is one of its own. It is as urgent as the most urgent of its
    ``followers``. A run that ``needs_reader`` takes no steps while the request's client leaves too much unread.
    """

    def __init__(
        self,
        work: Work[T],
        trajectory: Trajectory[T],
        ticket: Ticket,
        preview_interval: int = 0,
        followers: Followers | None = None,
        needs_reader: bool = False,
        checkpoint_interval: int = 0,
    ) -> None:
        self.work = work
        self.trajectory = trajectory
        self.ticket = ticket
        self.preview_interval = preview_interval
        self.followers = followers or Followers()
        self.needs_reader = needs_reader
        self.checkpoint_interval = checkpoint_interval
        self.submitted = time.monotonic()
        self.last_served = self.submitted
        self.batched = False
        self._waited = ticket.waited
        self.started: float | None = None
        self.finished: float | None = None
        self.loop = asyncio.get_running_loop()
        self._done: asyncio.Future[T] = self.loop.create_future()
        self._latest: Update | None = None
        self._news = asyncio.Event()

    @property
    def priority(self) -> int:
        """The highest class of those who wait for the result."""
        others, own = self.followers.tickets, self.ticket.priority
        return max(own, *(ticket.priority for ticket in others)) if others else own

    @property
    def precedence(self) -> Precedence:
        """Of the first of those who wait for the result."""
        others, own = self.followers.tickets, self.ticket.precedence
        return min(own, *(ticket.precedence for ticket in others)) if others else own

    @property
    def paused(self) -> bool:
        """Whether it takes no slot until the client has read what is there."""
        return self.needs_reader and self.ticket.unread > 0

    def waited(self, now: float) -> float:
        """Seconds that the request has waited for slots, earlier runs included. Call it only while the run is waiting."""
        return self._waited + now - self.last_served

    def take_slot(self, now: float) -> None:
        """Takes a slot in the batch of the step that begins."""
        self._waited = self.waited(now)
        self.last_served = now
        self.batched = True
        self.ticket.waited = max(self.ticket.waited, self._waited)

    def leave_slot(self, now: float) -> None:
        """Leaves the batch; the next wait begins."""
        self.last_served = now
        self.batched = False

    async def updates(self) -> AsyncIterator[Update]:
        """Yields where the run is, newest first and only the newest, until it ends.

        A reader that is slow misses updates; it never delays the engine.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            if self._latest is not None:
                update, self._latest = self._latest, None
                yield update
            if self._done.done():
                return

    async def result(self) -> T:
        """Waits for the end.

        Raises:
            ServingError: what ended the run other than success.
        """
        return await self._done

    # The engine's side. These run on the event loop, called through `Engine._deliver`.

    def post_update(self, update: Update) -> None:
        """Replaces the unread update; an unread snapshot or checkpoint outlives updates without one."""
        latest = self._latest
        if latest is not None:
            update = replace(update, checkpoint=update.checkpoint or latest.checkpoint)
            if update.snapshot is None and latest.snapshot is not None:
                update = replace(latest, checkpoint=update.checkpoint)
        self._latest = update
        self._news.set()

    def post_result(self, value: T) -> None:
        """Ends the run with success."""
        if not self._done.done():
            self._done.set_result(value)
        self._news.set()

    def post_failure(self, failure: BaseException) -> None:
        """Ends the run with an error; an error nobody asks for is not reported as unretrieved."""
        if not self._done.done():
            self._done.set_exception(failure)
            self._done.exception()
        self._news.set()
