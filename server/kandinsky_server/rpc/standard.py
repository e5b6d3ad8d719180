"""Health and reflection, gRPC's own services: their messages are short, and those of health may be anybody's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc_status import rpc_status

from kandinsky_server.errors import InvalidField, ReceiveTimedOut, ServingError, Violation
from kandinsky_server.metrics import Metrics
from kandinsky_server.rpc.intake import Intake
from kandinsky_server.rpc.status import status_of
from kandinsky_server.rpc.transport import write


def bounded(handler: Any, intake: Intake, metrics: Metrics) -> Any:
    """The handler of such a service, whose messages come through ``intake``.

    It takes a stream of them, whatever the handler takes: gRPC itself would read a single one at once.
    """
    parse = handler.request_deserializer

    async def one(context: Any) -> Any:
        question = await intake.question(context, parse)
        if question is None:
            raise InvalidField([Violation("", "the call ended without a message")])
        return question

    async def many(context: Any) -> AsyncIterator[Any]:
        question = await intake.question(context, parse)
        while question is not None:
            yield question
            try:
                question = await intake.question(context, parse)
            except ReceiveTimedOut:
                return  # nothing wrong: who has more to ask begins anew

    async def unary(context: Any) -> Any:
        return await handler.unary_unary(await one(context), context)

    async def watch(context: Any) -> None:
        await handler.unary_stream(await one(context), context)

    async def converse(context: Any) -> None:
        async for response in handler.stream_stream(many(context), context):
            await write(context, response)

    if handler.request_streaming:
        return _stream_of(_told(converse, metrics), handler)
    if handler.response_streaming:
        return _stream_of(_told(watch, metrics), handler)
    return grpc.stream_unary_rpc_method_handler(_told(unary, metrics), None, handler.response_serializer)


def _stream_of(serve: Any, handler: Any) -> Any:
    return grpc.stream_stream_rpc_method_handler(serve, None, handler.response_serializer)


def _told(serve: Callable[[Any], Awaitable[Any]], metrics: Metrics) -> Any:
    """Serves one call given its context, and tells what is wrong with it as a status."""

    async def told(_: Any, context: Any) -> Any:
        try:
            return await serve(context)
        except ServingError as error:
            metrics.rejections.labels(error.reason).inc()
            status = rpc_status.to_status(status_of(error))
        # Not while the error is being handled: it would be kept with the abort, and the message with it.
        return await context.abort_with_status(status)

    return told
