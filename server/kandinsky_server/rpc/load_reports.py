"""Load reports in the open standard ORCA, so that proxies and clients that exist can balance by seconds of work.

Source: https://github.com/envoyproxy/envoy/issues/6614 and gRFC A51, https://github.com/grpc/proposal/blob/master/A51-custom-backend-metrics.md
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc

from kandinsky_server.engine.admission.load import Load
from kandinsky_server.rpc.orca import SERVICE, OrcaLoadReport, OrcaLoadReportRequest
from kandinsky_server.telemetry.metrics import Metrics

ASK_KEY = "endpoint-load-metrics-format"
"""A call whose metadata has it with the value BIN gets a report in its trailer."""

TRAILER_KEY = "endpoint-load-metrics-bin"

MEASURE_SECONDS = 0.5
"""How old a report may be: a forecast of a full queue takes milliseconds of the event loop."""

RATE_SECONDS = 10.0
"""What requests a second are counted over."""

MEMORY_SECONDS = RATE_SECONDS / 2
"""Time constant of the mean of queued work: its samples are as old, on the average, as the requests of the rate, by which
balancers divide it. Of two figures of different ages they make weights that swing."""

IDLE_UTILIZATION = 0.05
"""Of a server without work, since balancers divide by it: else a moment's idleness would draw everybody's requests."""

LEAST_RATE = 0.001
"""A rate of 0 is unknown to balancers: Envoy 1.40 passes over such a report."""

LEAST_INTERVAL_SECONDS = 1.0
"""Between two reports of a stream, whatever it asks for."""


class LoadReports:
    """Measures the load now and then, for metrics and reports; belongs to the event loop.

    Args:
        load: asks for the load.
        target_seconds: of queued work, at which utilization is 1, but for what an idle server has.
        metrics: whose gauges show the load.
    """

    def __init__(self, load: Callable[[], Load], target_seconds: float, metrics: Metrics) -> None:
        self._load = load
        self._target_seconds = target_seconds
        self._metrics = metrics
        self._latest = Load()
        self._queued_seconds = 0.0
        self._ends: deque[tuple[float, bool]] = deque()

    async def run(self) -> None:
        """Measures until it is cancelled."""
        change = 1 - math.exp(-MEASURE_SECONDS / MEMORY_SECONDS)
        while True:
            self._latest = self._load()
            self._queued_seconds += change * (self._latest.queued_seconds - self._queued_seconds)
            self._metrics.show_load(self._latest)
            await asyncio.sleep(MEASURE_SECONDS)

    def count(self, failed: bool) -> None:
        """Takes note of a call that has ended; ``failed`` is a fault of the server's."""
        now = time.monotonic()
        self._ends.append((now, failed))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._ends and self._ends[0][0] < now - RATE_SECONDS:
            self._ends.popleft()

    def report(self) -> Any:
        """The load as last measured; `application_utilization` is a mean of some seconds."""
        self._forget(time.monotonic())
        load = self._latest
        return OrcaLoadReport(
            application_utilization=IDLE_UTILIZATION + self._queued_seconds / self._target_seconds,
            rps_fractional=max(LEAST_RATE, len(self._ends) / RATE_SECONDS),
            eps=sum(failed for _, failed in self._ends) / RATE_SECONDS,
            named_metrics={
                "kandinsky.queued_work_seconds": load.queued_seconds,
                "kandinsky.requests_waiting": load.waiting,
                "kandinsky.requests_running": load.running,
            },
        )

    def trailer(self, metadata: Mapping[str, Any]) -> tuple[tuple[str, bytes], ...]:
        """The report for a call with this metadata; nothing unless it asks."""
        if str(metadata.get(ASK_KEY, "")).upper() != "BIN":
            return ()
        data: bytes = self.report().SerializeToString()
        return ((TRAILER_KEY, data),)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers xds.service.orca.v3.OpenRcaService."""
        stream = grpc.unary_stream_rpc_method_handler(
            self._stream, OrcaLoadReportRequest.FromString, OrcaLoadReport.SerializeToString
        )
        server.add_registered_method_handlers(SERVICE, {"StreamCoreMetrics": stream})

    async def _stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Reports at the interval that was asked for, until the client leaves."""
        interval = max(
            LEAST_INTERVAL_SECONDS, request.report_interval.seconds + request.report_interval.nanos / 1e9
        )
        while True:
            yield self.report()
            await asyncio.sleep(interval)
