"""The two loops around an exchange, side by side: threads and asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn, Self

import grpc
import grpc.aio

from kandinsky_client.errors import CallCancelledError
from kandinsky_client.events import Event
from kandinsky_client.exchange import Exchange


class EventStream(Iterator[Event]):
    """The events of one call, which is already on its way. Ends after `Completed`, or raises.

    Breaking out of the loop, leaving the `with` block or `close` cancels the call; the server then stops
    within one step. `close` may be called by another thread: the one that iterates gets `CallCancelledError`.

    Args:
        exchange: The call's state.
        start: Sends the request, given the seconds left.
    """

    def __init__(self, exchange: Exchange, start: Callable[[float | None], Any]) -> None:
        self._exchange = exchange
        self._start = start
        self._pending: deque[Event] = deque()
        self._finished = False
        self._closed = threading.Event()
        self._call = start(exchange.timeout())

    def __next__(self) -> Event:
        while not self._pending:
            if self._finished:
                raise StopIteration
            try:
                self._advance()
            except grpc.RpcError as error:
                self._try_again(self._exchange.delay_after(error))
        return self._pending.popleft()

    def _advance(self) -> None:
        try:
            self._pending.extend(self._exchange.receive(next(self._call)))
        except StopIteration:
            self._finished = True
            self._pending.append(self._exchange.finish())

    def _try_again(self, delay: float) -> None:
        if not self._closed.wait(delay):
            self._call = self._start(self._exchange.timeout())
        if self._closed.is_set():  # looked at after the new call is in place, so that `close` cannot miss it
            self._call.cancel()
            raise closed_error()

    def close(self) -> None:
        """Cancels the call if it still runs. May be called from any thread, and again."""
        self._closed.set()
        self._call.cancel()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream is a call under way and cannot be pickled or copied; its events can")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncEventStream(AsyncIterator[Event]):
    """As `EventStream`, for asyncio. Cancelling the task that iterates cancels the call as well.

    Args:
        exchange: The call's state.
        start: Sends the request, given the seconds left.
    """

    def __init__(self, exchange: Exchange, start: Callable[[float | None], Any]) -> None:
        self._exchange = exchange
        self._start = start
        self._pending: deque[Event] = deque()
        self._finished = False
        self._closed = False
        self._call = start(exchange.timeout())

    async def __anext__(self) -> Event:
        while not self._pending:
            if self._finished:
                raise StopAsyncIteration
            try:
                await self._advance()
            except grpc.RpcError as error:
                await self._try_again(self._exchange.delay_after(error))
        return self._pending.popleft()

    async def _advance(self) -> None:
        try:
            response = await self._call.read()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):  # another task called `close`
                raise closed_error() from None
            raise
        if response is grpc.aio.EOF:
            self._finished = True
            self._pending.append(self._exchange.finish())
        else:
            self._pending.extend(self._exchange.receive(response))

    async def _try_again(self, delay: float) -> None:
        await asyncio.sleep(delay)
        if self._closed:
            raise closed_error()
        self._call = self._start(self._exchange.timeout())

    async def close(self) -> None:
        """Cancels the call if it still runs. May be called again."""
        self._closed = True
        self._call.cancel()

    def __del__(self) -> None:
        if hasattr(self, "_call"):  # grpc.aio keeps a running call alive by itself
            self._call.cancel()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream is a call under way and cannot be pickled or copied; its events can")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def closed_error() -> CallCancelledError:
    """Returns the error of a call that was closed from elsewhere."""
    return CallCancelledError(grpc.StatusCode.CANCELLED, "the call was closed")
