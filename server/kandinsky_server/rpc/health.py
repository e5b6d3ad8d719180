"""grpc.health.v1: who serves. Statuses change at once, whoever watches and however slowly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

WATCHES = 16
"""At once of one connection: a client needs one, or one of each service and stage."""


class Health(health_pb2_grpc.HealthServicer):
    """Belongs to the event loop. grpcio-health-checking's own servicer holds a lock while it writes to a watcher."""

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._watches = Counter[str]()
        self._shut_down = False

    def set(self, service: str, serving: bool) -> None:
        """Changes one status; after `shut_down` none does."""
        if not self._shut_down:
            self._statuses[service] = (
                HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
            )
            self._tell()

    def shut_down(self) -> None:
        """Turns everything to NOT_SERVING for good."""
        self._shut_down = True
        self._statuses = dict.fromkeys(self._statuses, HealthCheckResponse.NOT_SERVING)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:
        """The status as it is; NOT_FOUND for an unknown service."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return HealthCheckResponse(status=status)

    async def List(self, request: Any, context: Any) -> Any:
        """Every status as it is."""
        statuses = {name: HealthCheckResponse(status=status) for name, status in self._statuses.items()}
        # The message is younger than the stubs' types.
        return health_pb2.HealthListResponse(statuses=statuses)  # type: ignore[attr-defined]

    async def Watch(self, request: HealthCheckRequest, context: Any) -> AsyncIterator[HealthCheckResponse]:
        """The status now and whenever it has changed since it was last sent; an unknown service may come to be known."""
        peer = context.peer()
        if self._watches[peer] >= WATCHES:
            text = f"a connection may have {WATCHES} watches; one watch follows a service to its end"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        self._watches[peer] += 1
        try:
            async for response in self._follow(request.service):
                yield response
        finally:
            self._watches[peer] -= 1
            if not self._watches[peer]:
                del self._watches[peer]

    async def _follow(self, service: str) -> AsyncIterator[HealthCheckResponse]:
        told: int | None = None
        while True:
            changed = self._changed
            status = self._statuses.get(service, HealthCheckResponse.SERVICE_UNKNOWN)
            if status != told:
                yield HealthCheckResponse(status=status)
                told = status
            await changed.wait()
