"""The grpc server, for calls of any name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server


def make_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, int]]
) -> grpc.aio.Server:
    """What ``grpc.aio.server`` makes, but with a `_Core`."""
    return cast(grpc.aio.Server, _Server(interceptors, options))


class _Server(_server.Server):
    def __init__(
        self, interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, int]]
    ) -> None:
        self._loop = cygrpc.get_working_loop()
        self._server = _Core(self._loop, None, [], interceptors, options, None)


class _Core(cygrpc.AioServer):  # type: ignore[misc] # Cython has no types
    """Answers calls of unknown methods without a look at their names.

    grpcio (1.85.1) decodes such a name as UTF-8 in the task that takes in every call: one that is no UTF-8, from
    anybody, ends that task and with it the server. Methods that were registered come another way.
    """

    def _make_request_call_future(self, method: bytes | None) -> Any:
        """grpcio's task that brings the next call of ``method``; where it means any other, None, ours never ends."""
        if method is not None:
            return super()._make_request_call_future(method)
        return asyncio.get_running_loop().create_task(self._refuse_unknown())

    async def _refuse_unknown(self) -> None:
        loop, nobody, refusals = asyncio.get_running_loop(), cygrpc._MethodResolver([], {}), set[Any]()
        while True:
            call = await self._request_call()
            refusal = cygrpc._handle_rpc("", nobody, (), call, loop, False)
            task = loop.create_task(cygrpc._schedule_rpc_coro(refusal, call, loop, ""))
            # The loop itself does not keep a task alive.
            refusals.add(task)
            task.add_done_callback(refusals.discard)
