"""What every RPC gets, written once: request id, metrics, one log line, a trace, errors as status."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc import StatusCode

from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.errors import InternalFailure, RequestTooLong, ServingError
from kandinsky_server.flows.concurrency import forget
from kandinsky_server.rpc.authentication import Authentication, check_allowed
from kandinsky_server.rpc.delivery import Delivery
from kandinsky_server.rpc.intake import Intake
from kandinsky_server.rpc.load_reports import LoadReports
from kandinsky_server.rpc.standard import bounded
from kandinsky_server.rpc.status import code_of, ending
from kandinsky_server.rpc.texts import texts_of
from kandinsky_server.security.tokens import Client
from kandinsky_server.telemetry import call as calls
from kandinsky_server.telemetry.call import Call
from kandinsky_server.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from kandinsky_server.telemetry.tracing import Tracing

PREFIX = "/kandinsky_api.v1."
HEALTH_PREFIX = "/grpc.health.v1.Health/"

DEADLINE_SLACK_SECONDS = 0.05
"""The transport keeps its own clock, and may end a call a little before the ticket's deadline."""

ENDED_EARLY = (StatusCode.CANCELLED, StatusCode.DEADLINE_EXCEEDED, StatusCode.ABORTED)

log = structlog.get_logger("kandinsky")


class RequestInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of this package's services. Of the others, health is open and the rest need a token too."""

    def __init__(
        self,
        metrics: Metrics,
        authentication: Authentication,
        intake: Intake,
        delivery: Delivery,
        max_request_seconds: float,
        loads: LoadReports,
        tracing: Tracing | None = None,
        log_prompts: bool = False,
    ) -> None:
        self.metrics = metrics
        self.tracing = tracing
        self.authentication = authentication
        self.intake = intake
        self.delivery = delivery
        self.max_request_seconds = max_request_seconds
        self.loads = loads
        self.log_prompts = log_prompts

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Puts `_serve` around the handler of a known method."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None:
            return None
        if method.startswith(HEALTH_PREFIX):
            return bounded(handler, self.intake, self.delivery, self.metrics)
        rpc = method.rpartition("/")[2]
        client = Client()
        try:
            client = self.authentication.client(handler_call_details.invocation_metadata)
            check_allowed(client, rpc)
        except ServingError as refusal:
            return self._refuse(rpc, client, refusal)
        if not method.startswith(PREFIX):
            return bounded(handler, self.intake, self.delivery, self.metrics)
        behavior = functools.partial(self._unary, handler.unary_unary)
        if handler.response_streaming:
            behavior = functools.partial(self._stream, handler.unary_stream)
        parse = handler.request_deserializer

        async def serve(_: Any, context: Any) -> Any:
            async def answer() -> Any:
                return await behavior(await self.intake.request(calls.current.get(), context, parse), context)

            await self._serve(rpc, client, answer, context)

        # As a stream of requests, whose first `intake` reads: gRPC itself would read a single one at once. A single
        # response is written like a stream's: gRPC's own way would wait for a client that never reads.
        return grpc.stream_stream_rpc_method_handler(serve, None, handler.response_serializer)

    def _refuse(self, rpc: str, client: Client, refusal: ServingError) -> Any:
        """Answers as a stream of requests that nobody reads: a stranger's message costs no memory."""

        async def answer() -> None:
            raise refusal

        async def serve(_: Any, context: Any) -> None:
            await self._serve(rpc, client, answer, context)

        return grpc.stream_stream_rpc_method_handler(serve)

    async def _unary(
        self, behavior: Callable[[Any, Any], Awaitable[Any]], request: Any, context: Any
    ) -> None:
        response = await behavior(request, context)
        await self.delivery.write(context, response, calls.current.get().metadata)

    async def _stream(
        self, behavior: Callable[[Any, Any], AsyncGenerator[Any]], request: Any, context: Any
    ) -> None:
        """Sends what a streaming handler yields; closes it at once when the call ends in any way."""
        call = calls.current.get()
        if self.log_prompts:
            call.texts = texts_of(request, self.intake.limits)
        generator = behavior(request, context)
        del request  # it may be large, and is not needed until the end
        async with aclosing(generator) as responses:
            async for response in responses:
                await self.delivery.write(context, response, () if call.first_event else call.metadata)
                self._count(call, response)

    async def _serve(
        self, rpc: str, client: Client, answer: Callable[[], Awaitable[None]], context: Any
    ) -> None:
        metadata = dict(context.invocation_metadata() or ())
        left = context.time_remaining()
        ticket = Ticket(
            request_id=calls.request_id(metadata.get(calls.REQUEST_ID_KEY)),
            rpc=rpc,
            client=client.name,
            connection=context.peer(),
            share=client.share,
            deadline=None if left is None else time.monotonic() + left,
            life_ends=time.monotonic() + self.max_request_seconds,
        )
        trace_context = {key: metadata[key] for key in calls.TRACE_CONTEXT_KEYS if key in metadata}
        call = Call(rpc, ticket, trace_context=trace_context)
        calls.current.set(call)
        # The transport knows first that a client is gone; a handler may be busy elsewhere.
        context.add_done_callback(lambda _: ticket.cancel())
        context.set_trailing_metadata(call.metadata)
        self.metrics.in_flight.labels(rpc).inc()
        code, reason = StatusCode.OK, ""
        try:
            with self.delivery.serving(context):
                await self._within_life(answer)
                context.set_trailing_metadata((*call.metadata, *self.loads.trailer(metadata)))
                return
        except asyncio.CancelledError:
            code = StatusCode.DEADLINE_EXCEEDED if _expired(ticket) else StatusCode.CANCELLED
            reason = code.name
            raise
        except Exception as error:
            failure = self._failure(error, call)
            code, reason = code_of(failure), failure.reason
            forget(error)
        finally:
            call.received.close()
            self._account(call, code, reason)
        # After the accounts: whoever sees the answer sees them too.
        code, message, trailers = ending(failure)
        trailers = (*trailers, *call.metadata, *self.loads.trailer(metadata))
        await self.delivery.end(context, code, message, trailers)

    async def _within_life(self, answer: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(self.max_request_seconds) as life:
                await answer()
        except TimeoutError as error:
            if not life.expired():
                raise
            raise RequestTooLong(
                f"this server ends a request after {self.max_request_seconds:g} s; ask for less at once",
                limit_seconds=f"{self.max_request_seconds:g}",
            ) from error

    def _count(self, call: Call, response: Any) -> None:
        """Takes note of what was sent."""
        metrics = self.metrics
        if call.first_event is None:
            call.first_event = time.monotonic()
            metrics.first_event_seconds.labels(call.rpc).observe(call.first_event - call.ticket.arrival)
        event = response.event
        match event.WhichOneof("kind"):
            case "image":
                call.images += 1
                metrics.images.labels(call.rpc).inc()
                metrics.pixels.labels(call.rpc).inc(event.image.width_px * event.image.height_px)
            case "embedding":
                call.embeddings += 1
                metrics.embeddings.labels(call.rpc).inc()
            case "completed":
                queued = event.completed.timings.queued.ToNanoseconds() / 1e9
                metrics.queue_wait_seconds.labels(call.rpc).observe(queued)

    def _failure(self, error: Exception, call: Call) -> ServingError:
        """What the client is told; anything that is not a ServingError stays in the log."""
        if isinstance(error, ServingError):
            return error
        log.error("request failed", request_id=call.ticket.request_id, rpc=call.rpc, exc_info=error)
        return InternalFailure(
            f"the server failed; its log has the details under {call.ticket.request_id}",
            request_id=call.ticket.request_id,
        )

    def _account(self, call: Call, code: StatusCode, reason: str) -> None:
        """Metrics, trace and log line. Their fault is none of the client's business: the answer is as it would be."""
        try:
            self._record(call, code, reason)
        except Exception as error:
            log.error("accounting failed", request_id=call.ticket.request_id, rpc=call.rpc, exc_info=error)

    def _record(self, call: Call, code: StatusCode, reason: str) -> None:
        metrics, rpc = self.metrics, call.rpc
        self.loads.count(code in (StatusCode.INTERNAL, StatusCode.UNKNOWN))
        seconds = time.monotonic() - call.ticket.arrival
        metrics.in_flight.labels(rpc).dec()
        metrics.requests.labels(rpc, code.name).inc()
        metrics.request_seconds.labels(rpc).observe(seconds)
        if code in ENDED_EARLY:
            metrics.cancellations.labels(reason).inc()
        elif code not in (StatusCode.OK, StatusCode.INTERNAL):
            metrics.rejections.labels(reason).inc()
        trace = self.tracing.record(call, code, reason) if self.tracing else {}
        log.info(
            "request",
            request_id=call.ticket.request_id,
            rpc=rpc,
            client=call.ticket.client or None,
            code=code.name,
            reason=reason or None,
            seconds=round(seconds, 4),
            images=call.images,
            embeddings=call.embeddings,
            **trace,
            **call.texts,
        )


def _expired(ticket: Ticket) -> bool:
    """Whether a call that was cut off had run out of time; otherwise its client gave it up."""
    return ticket.deadline is not None and time.monotonic() > ticket.deadline - DEADLINE_SLACK_SECONDS
