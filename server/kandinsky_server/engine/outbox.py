"""What the engine's thread tells the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

Delivery = tuple[Callable[..., None], tuple[Any, ...]]


class Outbox:
    """Gathers what happened in a step, and hands it to the event loop in one call, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deliveries: list[Delivery] = []

    def add(self, function: Callable[..., None], *arguments: Any) -> None:
        """To be called on the event loop once the rest is sent."""
        self._deliveries.append((function, arguments))

    def send(self) -> None:
        """Sends what was added; an event loop that is closed has nobody left who waits."""
        if not self._deliveries:
            return
        deliveries, self._deliveries = self._deliveries, []
        try:
            self._loop.call_soon_threadsafe(_run_all, deliveries)
        except RuntimeError:
            log.warning("the event loop is closed; %d deliveries dropped", len(deliveries))


def _run_all(deliveries: list[Delivery]) -> None:
    for function, arguments in deliveries:
        function(*arguments)
