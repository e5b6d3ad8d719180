"""The services of the contract, and the interceptor before them, for whoever has a request and Serve's context."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from kandinsky_server.ray.context import Context


@dataclass(frozen=True)
class Details(grpc.HandlerCallDetails):
    """What an interceptor sees of a call before its handler."""

    method: str
    invocation_metadata: Any


class Calls:
    """Takes the handlers that a grpc server would take, and calls them through ``interceptor``."""

    def __init__(self, interceptor: grpc.aio.ServerInterceptor) -> None:
        self._interceptor = interceptor
        self._handlers: dict[str, Any] = {}

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """What generated code calls on a grpc server."""
        self._handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """What it calls before that: the same handlers, as grpcio before 1.63 takes them."""

    async def stream(self, method: str, request: Message, outer: Any) -> AsyncGenerator[Any]:
        """The responses to a call of ``method``, such as "/package.Service/Name"; closing this ends the call.

        An error is the status in ``outer``, which is Serve's context, and an empty response, the last.
        """
        context = Context(request, outer, _nothing(method))
        details = Details(method, context.invocation_metadata())
        handler: Any = await self._interceptor.intercept_service(self._find, details)
        serving = asyncio.create_task(handler.stream_stream(None, context))
        async with aclosing(context.messages(serving)) as messages:
            async for message in messages:
                yield message

    async def one(self, method: str, request: Message, outer: Any) -> Any:
        """The response to a call that has one."""
        return [response async for response in self.stream(method, request, outer)][-1]

    async def _find(self, details: grpc.HandlerCallDetails) -> Any:
        return self._handlers[details.method]


def _nothing(method: str) -> Message:
    """An empty response of the method."""
    _, service, name = method.split("/")
    described = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return message_factory.GetMessageClass(described.output_type)()
