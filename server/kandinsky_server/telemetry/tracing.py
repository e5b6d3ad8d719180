"""Finished requests as OpenTelemetry spans. Needs the extra ``otel``; imported only when traces are wanted."""

from __future__ import annotations

import time

from grpc import StatusCode
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, format_span_id, format_trace_id, set_span_in_context
from opentelemetry.trace import StatusCode as SpanStatus
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kandinsky_server.telemetry.call import Call

SERVER_FAULTS = {
    StatusCode.UNKNOWN,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.UNIMPLEMENTED,
    StatusCode.INTERNAL,
    StatusCode.UNAVAILABLE,
    StatusCode.DATA_LOSS,
}
"""Codes that make a server's span an error, as OpenTelemetry's conventions for gRPC have it; the rest is the client's."""


class Tracing:
    """Sends spans to a collector in the background. ``endpoint`` is an OTLP/gRPC URL; https means TLS.

    OpenTelemetry's own environment variables set the rest: sampler, resource attributes, headers, batch sizes.
    """

    def __init__(self, endpoint: str) -> None:
        resource = Resource.create({SERVICE_NAME: "kandinsky-server"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._tracer = self._provider.get_tracer("kandinsky_server")
        self._propagator = TraceContextTextMapPropagator()

    def record(self, call: Call, code: StatusCode, reason: str) -> dict[str, str]:
        """One span for a call that has just ended, with a child for each of its spans.

        Returns its ``trace_id`` and ``span_id`` in hexadecimal, for the log.
        """
        ticket = call.ticket
        # Spans want the time of day; calls are measured on a clock that never jumps.
        epoch = time.time_ns() - time.monotonic_ns()
        span = self._tracer.start_span(
            call.rpc,
            self._propagator.extract(call.trace_context),
            SpanKind.SERVER,
            start_time=epoch + _nanoseconds(ticket.arrival),
        )
        span.set_attributes({"rpc": call.rpc, "code": code.name, "request_id": ticket.request_id})
        span.set_attributes({"images": call.images, "embeddings": call.embeddings})
        span.set_attributes(
            {key: text for key, text in (("client", ticket.client), ("reason", reason)) if text}
        )
        if code in SERVER_FAULTS:
            span.set_status(Status(SpanStatus.ERROR, reason or code.name))
        parent = set_span_in_context(span)
        for part in ticket.spans:
            child = self._tracer.start_span(
                part.name,
                parent,
                start_time=epoch + _nanoseconds(part.start),
                attributes=part.attributes,
            )
            child.end(epoch + _nanoseconds(part.end))
        span.end(epoch + time.monotonic_ns())
        ids = span.get_span_context()
        return {"trace_id": format_trace_id(ids.trace_id), "span_id": format_span_id(ids.span_id)}

    def flush(self) -> None:
        """Waits until what was recorded has been sent."""
        self._provider.force_flush()

    def close(self) -> None:
        """Sends what is left; a collector that is away is waited for as long as OTEL_EXPORTER_OTLP_TIMEOUT, 10 s."""
        self._provider.shutdown()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
