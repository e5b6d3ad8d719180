"""Health and reflection, gRPC's own services: anybody may call the one, and their messages are short."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc_status import rpc_status

from kandinsky_server.errors import InvalidField, ServingError, Violation
from kandinsky_server.metrics import Metrics
from kandinsky_server.rpc.intake import Intake
from kandinsky_server.rpc.status import status_of
from kandinsky_server.rpc.transport import write

Serve = Callable[[Any], Awaitable[None]]
"""Serves one call, given its context."""


def bounded(handler: Any, intake: Intake, metrics: Metrics) -> Any:
    """The handler of such a service, whose messages come through ``intake``.

    It reads them itself, whatever kind of handler it stands for: gRPC would read the message of a unary one at once.
    """
    serve = _of_questions(handler, intake) if handler.request_streaming else _of_one(handler, intake)

    async def answer(_: Any, context: Any) -> None:
        try:
            await serve(context)
        except ServingError as error:
            metrics.rejections.labels(error.reason).inc()
            await context.abort_with_status(rpc_status.to_status(status_of(error)))

    return grpc.stream_stream_rpc_method_handler(answer, None, handler.response_serializer)


def _of_one(handler: Any, intake: Intake) -> Serve:
    async def serve(context: Any) -> None:
        question = await intake.question(context, handler.request_deserializer)
        if question is None:
            raise InvalidField([Violation("", "the call ended without a message")])
        if handler.response_streaming:
            await handler.unary_stream(question, context)
        else:
            await write(context, await handler.unary_unary(question, context))

    return serve


def _of_questions(handler: Any, intake: Intake) -> Serve:
    async def questions(context: Any) -> AsyncIterator[Any]:
        while (question := await intake.question(context, handler.request_deserializer)) is not None:
            yield question

    async def serve(context: Any) -> None:
        async for response in handler.stream_stream(questions(context), context):
            await write(context, response)

    return serve
