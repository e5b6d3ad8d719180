"""Every metric, defined once. Names ``kandinsky_*``, base units, few labels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from kandinsky_backends.parity import PreparedNetwork
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from kandinsky_server.engine.admission.load import Load
from kandinsky_server.engine.report import StepReport

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


class Metrics:
    """The metrics of one server. An engine's `Observer`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.requests = counter("requests", "Requests ended.", "rpc", "code")
        self.request_seconds = histogram("request_seconds", "From arrival to end.", SECONDS, "rpc")
        self.first_event_seconds = histogram(
            "first_event_seconds", "From arrival to the first event.", SECONDS, "rpc"
        )
        self.in_flight = gauge("requests_in_flight", "Requests being served.", "rpc")
        self.queue_length = gauge(
            "queue_length", "Trajectories that wait or run; each request counts as one at least."
        )
        self.requests_waiting = gauge("requests_waiting", "Requests whose first step is to come.")
        self.requests_running = gauge("requests_running", "Requests that have taken a step and are not done.")
        self.queued_work_seconds = gauge(
            "queued_work_seconds", "How long the work taken in would last if no more came, as predicted."
        )
        self.queue_wait_seconds = histogram(
            "queue_wait_seconds", "From arrival to the first step.", SECONDS, "rpc"
        )
        self.batch_rows = histogram("batch_rows", "Rows of a network call.", ROWS, "stage")
        self.batch_requests = histogram(
            "batch_requests", "Requests that share a network call.", ROWS, "stage"
        )
        self.step_seconds = histogram("step_seconds", "One network call.", SECONDS, "stage")
        self.steps = counter("steps", "Trajectory steps taken.", "stage")
        self.network_seconds = counter("network_seconds", "Time inside networks.", "stage", "backend")
        self.engine_seconds = counter("engine_busy_seconds", "Time the engine's thread spent on steps.")
        self.images = counter("images", "Images sent.", "rpc")
        self.pixels = counter("pixels", "Pixels of the images sent.", "rpc")
        self.embeddings = counter("embeddings", "Embeddings sent.", "rpc")
        self.cache = counter("prior_cache_lookups", "Prior cache lookups.", "result")
        self.cancellations = counter("cancellations", "Requests that ended early.", "reason")
        self.rejections = counter("rejections", "Requests refused.", "reason")
        self.fallbacks = counter(
            "backend_fallback", "Networks that eager took over.", "stage", "backend", "reason"
        )
        self.unprepared = counter(
            "unprepared_calls",
            "Network calls that ran eagerly, since their shapes are not prepared.",
            "network",
        )
        self.out_of_memory = counter("out_of_memory", "Batches the device had no room for.", "stage")
        self.log_lines_dropped = counter("log_lines_dropped", "Lines of output that nobody read in time.")
        self.parity = gauge("backend_parity_difference", "Max abs difference to eager.", "stage", "backend")
        self.serving_since = gauge(
            "backend_serving_since_timestamp_seconds",
            "When a backend began to serve a network, as Unix time.",
            "stage",
            "backend",
        )
        self.load_seconds = gauge("model_load_seconds", "Loading and preparing a stage.", "stage")
        self.device_memory = gauge("device_memory_bytes", "Memory of the device, as torch counts it.", "kind")
        self.build = Info("kandinsky_build", "Versions.", registry=self.registry)
        # Under their standard names: process_resident_memory_bytes, process_open_fds and others.
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"kandinsky_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"kandinsky_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"kandinsky_{name}", text, labels, buckets=buckets, registry=self.registry)

    def watch_queue(self, length: Callable[[], float]) -> None:
        """Reads the queue's length whenever it is scraped."""
        self.queue_length.set_function(length)

    def show_load(self, load: Load) -> None:
        """Sets the gauges to what was measured now."""
        self.requests_waiting.set(load.waiting)
        self.requests_running.set(load.running)
        self.queued_work_seconds.set(load.queued_seconds)

    def watch_device(self, device: torch.device) -> None:
        """Reads a CUDA device's memory whenever it is scraped; on other devices torch keeps no count."""
        if device.type == "cuda":
            memory = self.device_memory
            memory.labels("allocated").set_function(lambda: torch.cuda.memory_allocated(device))
            memory.labels("reserved").set_function(lambda: torch.cuda.memory_reserved(device))

    def on_lookup(self, hit: bool) -> None:
        """Counts a look into the prior cache."""
        self.cache.labels("hit" if hit else "miss").inc()

    def on_prepared(self, network: str, prepared: PreparedNetwork) -> None:
        """Sets how far a network's backend is from eager, and since when it serves it, unless eager does."""
        asked = prepared.fallback.backend_name if prepared.fallback else prepared.backend_name
        if prepared.parity_difference is not None:
            self.parity.labels(network, asked).set(prepared.parity_difference)
        if prepared.fallback is None:
            self.serving_since.labels(network, prepared.backend_name).set_to_current_time()

    # An engine's observer.

    def on_step(self, report: StepReport) -> None:
        """Counts one network call."""
        self.batch_rows.labels(report.stage).observe(report.rows)
        self.batch_requests.labels(report.stage).observe(len({id(ticket) for ticket, _ in report.members}))
        self.step_seconds.labels(report.stage).observe(report.network_seconds)
        self.steps.labels(report.stage).inc(len(report.members))
        self.network_seconds.labels(report.stage, report.backend).inc(report.network_seconds)
        self.engine_seconds.inc(report.seconds)

    def on_fallback(self, network: str, stage: str, backend: str, reason: str) -> None:
        """Counts a backend that eager took over from."""
        self.fallbacks.labels(stage, backend, reason).inc()

    def on_out_of_memory(self, network: str, stage: str, rows: int) -> None:
        """Counts a batch that did not fit."""
        self.out_of_memory.labels(stage).inc()

    def on_unprepared(self, network: str) -> None:
        """Counts a call of shapes that a backend has not prepared."""
        self.unprepared.labels(network).inc()
