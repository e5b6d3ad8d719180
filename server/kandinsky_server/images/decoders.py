"""All the worker processes, and who may use them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from kandinsky_server.errors import ServingError
from kandinsky_server.images.decoder import Decoder
from kandinsky_server.images.turns import Turns

T = TypeVar("T")

PICTURES_AT_ONCE = 2
"""Worker processes; each takes some 30 MB while it has nothing to do."""


class Decoders:
    """Decodes a few pictures at a time; the clients that wait take turns. Belongs to one event loop."""

    def __init__(self, max_pixels: int, seconds: float) -> None:
        self.workers = [Decoder(max_pixels, seconds) for _ in range(PICTURES_AT_ONCE)]
        self.turns = Turns(PICTURES_AT_ONCE)
        self._idle = list(self.workers)
        self._threads = ThreadPoolExecutor(PICTURES_AT_ONCE, "decoders")
        self._awaited: set[asyncio.Future[Any]] = set()

    @property
    def busy(self) -> list[Decoder]:
        """The workers that are decoding, for whomever."""
        return [worker for worker in self.workers if worker not in self._idle]

    async def start(self) -> None:
        """Starts the processes.

        Raises:
            DecoderFailed: they cannot be started.
        """
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, worker.start) for worker in self.workers))

    async def run(self, work: Callable[[Decoder], T], party: str) -> T:
        """Does ``work`` in a thread, with a decoder of its own, when it is the turn of ``party``.

        The turn ends with the work, also when the caller has been cancelled before.
        """
        await self.turns.take(party)
        decoder, loop = self._idle.pop(), asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        loop.run_in_executor(self._threads, work, decoder).add_done_callback(
            partial(self._finish, decoder, answer)
        )
        self._awaited.add(answer)
        try:
            return await answer
        finally:
            self._awaited.discard(answer)

    def _finish(self, decoder: Decoder, answer: asyncio.Future[T], work: asyncio.Future[T]) -> None:
        self._idle.append(decoder)
        self.turns.give()
        error = None if work.cancelled() else work.exception()
        if answer.done():
            return
        if work.cancelled():
            answer.cancel()
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(work.result())

    def abandon(self, failure: ServingError) -> None:
        """Ends the wait of everyone at once; what is being decoded goes on for nobody."""
        self.turns.abandon(failure)
        for answer in self._awaited:
            if not answer.done():
                answer.set_exception(failure)

    def stop(self) -> None:
        """Ends the processes, and with them the threads."""
        for worker in self.workers:
            worker.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
