"""An LRU of results whose computation is shared by everyone who asks while it runs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class SingleFlightCache(Generic[V]):
    """Keeps the ``size`` most recently used values; 0 keeps none but still shares work in flight.

    Belongs to one event loop. ``on_lookup`` hears of every lookup that succeeded, and whether it was a hit.
    """

    def __init__(self, size: int, on_lookup: Callable[[bool], None] = lambda hit: None) -> None:
        self.size = size
        self.on_lookup = on_lookup
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._flights: dict[Hashable, asyncio.Future[V]] = {}

    def holds(self, key: Hashable) -> bool:
        """Whether the value is there now; does not count as use."""
        return key in self._values

    def awaits(self, key: Hashable) -> bool:
        """Whether the value is being computed now."""
        return key in self._flights

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[V]]) -> tuple[V, bool]:
        """Returns the value of ``key`` and whether it was there already, or on its way.

        A computation that fails or is cancelled fails its own caller alone: one of those who waited computes anew.
        """
        value, hit = await self._look_up(key, compute)
        self.on_lookup(hit)
        return value, hit

    async def _look_up(self, key: Hashable, compute: Callable[[], Awaitable[V]]) -> tuple[V, bool]:
        while True:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key], True
            flight = self._flights.get(key)
            if flight is None:
                return await self._lead(key, compute), False
            # Waiting does not cancel the flight; a landing without a value sends everyone round the loop.
            await asyncio.wait([flight])
            if not flight.cancelled():
                return flight.result(), True

    async def _lead(self, key: Hashable, compute: Callable[[], Awaitable[V]]) -> V:
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            value = await compute()
        except BaseException:
            flight.cancel()
            raise
        else:
            flight.set_result(value)
            self._keep(key, value)
            return value
        finally:
            del self._flights[key]

    def _keep(self, key: Hashable, value: V) -> None:
        if not self.size:
            return
        self._values[key] = value
        while len(self._values) > self.size:
            self._values.popitem(last=False)
