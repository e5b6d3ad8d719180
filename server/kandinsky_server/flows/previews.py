"""Pictures of one image on its way, taken only as fast as the client reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from torch import Tensor

from kandinsky_server.engine.run import Update
from kandinsky_server.errors import ServingError
from kandinsky_server.flows.concurrency import forget
from kandinsky_server.flows.events import Picture, Preview
from kandinsky_server.flows.mailbox import Mailbox
from kandinsky_server.flows.unread import Room


class Previews:
    """At most one preview of image ``index`` is being made or waits to be read; others are dropped.

    ``make`` turns latents [1, 4, h, w] into a picture; ``room`` is for it while it is made, and None where there is none.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        index: int,
        make: Callable[[Tensor], Awaitable[Picture]],
        room: Callable[[Tensor], Room | None],
    ) -> None:
        self._mailbox = mailbox
        self._index = index
        self._make_picture = make
        self._find_room = room
        self._room: Room | None = None
        self._task: asyncio.Task[None] | None = None

    def offer(self, update: Update) -> None:
        """Makes a preview of an update that has a snapshot, unless one is still on its way."""
        busy = (self._task and not self._task.done()) or self._mailbox.waiting(self._key)
        if update.snapshot is None or busy:
            return
        if room := self._find_room(update.snapshot):
            self._room = room
            making = self._make(update.snapshot, update.step, update.step_count, room)
            self._task = asyncio.create_task(making)

    async def close(self) -> None:
        """Cancels a preview that is being made: once the image is finished or has failed it is useless."""
        # A task that was cancelled holds the frame that it was in, which holds this object.
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.wait([task])
        if self._room and not self._mailbox.waiting(self._key):
            self._room.resize(0)

    @property
    def _key(self) -> tuple[str, int]:
        return ("preview", self._index)

    async def _make(self, latents: Tensor, step: int, step_count: int, room: Room) -> None:
        try:
            picture = await self._make_picture(latents)
        except ServingError as failure:
            # What ends the request is reported by the image's own run.
            forget(failure)
            room.resize(0)
            return
        room.resize(len(picture.data))
        self._mailbox.replace(self._key, Preview(self._index, step, step_count, picture), room)
