"""An LRU of results whose computation is shared by everyone who asks while it runs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kandinsky_server.engine.followers import Followers
from kandinsky_server.engine.ticket import Ticket

V = TypeVar("V")


@dataclass(frozen=True)
class _Flight(Generic[V]):
    """A value that is being computed, and who waits for it beside the one who computes."""

    value: asyncio.Future[V]
    followers: Followers = field(default_factory=Followers)


class SingleFlightCache(Generic[V]):
    """Keeps the ``size`` most recently used values; 0 keeps none but still shares work in flight.

    Belongs to one event loop. ``on_lookup`` hears of every lookup that succeeded, and whether it was a hit.
    """

    def __init__(self, size: int, on_lookup: Callable[[bool], None] = lambda hit: None) -> None:
        self.size = size
        self.on_lookup = on_lookup
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._flights: dict[Hashable, _Flight[V]] = {}

    def holds(self, key: Hashable) -> bool:
        """Whether the value is there now; does not count as use."""
        return key in self._values

    def awaits(self, key: Hashable) -> bool:
        """Whether the value is being computed now."""
        return key in self._flights

    def followers(self, key: Hashable) -> Followers:
        """Who waits for the value that is being computed: whoever computes it works at their urgency too."""
        return self._flights[key].followers

    async def get(
        self, key: Hashable, compute: Callable[[], Awaitable[V]], ticket: Ticket | None = None
    ) -> tuple[V, bool]:
        """Returns the value of ``key`` and whether it was there already, or on its way.

        A computation that fails or is cancelled fails its own caller alone: one of those who waited computes anew.
        ``ticket`` is among the followers while it waits.
        """
        value, hit = await self._look_up(key, compute, ticket)
        self.on_lookup(hit)
        return value, hit

    async def _look_up(
        self, key: Hashable, compute: Callable[[], Awaitable[V]], ticket: Ticket | None
    ) -> tuple[V, bool]:
        while True:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key], True
            flight = self._flights.get(key)
            if flight is None:
                return await self._lead(key, compute), False
            # asyncio.wait does not cancel the shared computation; if it failed, each of those who waited tries again.
            with flight.followers.join(ticket) if ticket else nullcontext():
                await asyncio.wait([flight.value])
            if not flight.value.cancelled():
                return flight.value.result(), True

    async def _lead(self, key: Hashable, compute: Callable[[], Awaitable[V]]) -> V:
        flight: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._flights[key] = _Flight(flight)
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
