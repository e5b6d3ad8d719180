"""Health and reflection, gRPC's own services: their messages are short, and those of health may be anybody's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from kandinsky_server.errors import InvalidField, ReceiveTimedOut, ServingError, Violation
from kandinsky_server.rpc.delivery import Delivery
from kandinsky_server.rpc.intake import Intake
from kandinsky_server.rpc.status import ending
from kandinsky_server.telemetry.metrics import Metrics


def bounded(handler: Any, intake: Intake, delivery: Delivery, metrics: Metrics) -> Any:
    """The handler of such a service, whose messages come through ``intake`` and go through ``delivery``.

    It takes and gives streams, whatever the handler does: gRPC itself would read a single message at once, and wait
    for a client that never reads a single answer.
    """
    parse = handler.request_deserializer
    behavior = handler.stream_stream or handler.unary_stream or handler.unary_unary

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

    async def answer(context: Any) -> None:
        request = many(context) if handler.request_streaming else await one(context)
        if not handler.response_streaming:
            await delivery.write(context, await behavior(request, context))
            return
        async with aclosing(behavior(request, context)) as responses:
            async for response in responses:
                await delivery.write(context, response)

    async def serve(_: Any, context: Any) -> None:
        try:
            await answer(context)
            return
        except ServingError as error:
            metrics.rejections.labels(error.reason).inc()
            code, message, trailers = ending(error)
        # Not while the error is being handled: it would be kept with the abort, and the message with it.
        await delivery.end(context, code, message, trailers)

    return grpc.stream_stream_rpc_method_handler(serve, None, handler.response_serializer)
