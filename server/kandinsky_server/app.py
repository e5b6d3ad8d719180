"""One server process: its parts put together, started, drained and stopped."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import torch
from grpc_health.v1 import health, health_pb2_grpc
from kandinsky_api.v1 import (
    image_pb2,
    image_pb2_grpc,
    prior_pb2,
    prior_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
)
from kandinsky_backends.device import pick_device
from kandinsky_backends.half_precision import advice, instructions
from kandinsky_backends.options import DEFAULT_BUCKETS
from kandinsky_backends.parity import PreparedNetwork
from kandinsky_backends.precision import set_precision
from kandinsky_backends.registry import available_backends, get_backend
from kandinsky_backends.threads import set_threads

from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.checkpoints.source import STAGES, TOY, CheckpointError, is_on_hub
from kandinsky_server.diffusion.depth import DepthEstimator
from kandinsky_server.diffusion.model import Model
from kandinsky_server.diffusion.residency import Residency
from kandinsky_server.engine.admission.admission import DRAINING_RETRY_SECONDS, Admission
from kandinsky_server.engine.admission.allotment import Allotment
from kandinsky_server.engine.cache import SingleFlightCache
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.device import device_for
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.watchdog import Timeouts, Watchdog
from kandinsky_server.errors import Draining
from kandinsky_server.families.kandinsky22.sizes import parse_size
from kandinsky_server.flows.requests import Embeddings
from kandinsky_server.flows.session import Runtime
from kandinsky_server.flows.unread import UnreadBudget
from kandinsky_server.images.budget import ByteBudget
from kandinsky_server.images.decoders import Decoders
from kandinsky_server.memory import Trimmer
from kandinsky_server.rpc import load_reports, transport
from kandinsky_server.rpc.authentication import Authentication
from kandinsky_server.rpc.convert import Converter
from kandinsky_server.rpc.delivery import Delivery
from kandinsky_server.rpc.health import Health
from kandinsky_server.rpc.info import InfoSource
from kandinsky_server.rpc.intake import Intake
from kandinsky_server.rpc.interceptor import RequestInterceptor
from kandinsky_server.rpc.limits import Limits
from kandinsky_server.rpc.load_reports import LoadReports
from kandinsky_server.rpc.pictures import Pictures
from kandinsky_server.rpc.reflection import add_reflection
from kandinsky_server.rpc.respond import versions
from kandinsky_server.rpc.server import make_server
from kandinsky_server.rpc.services import Handlers, ImageService, PriorService, ServerService
from kandinsky_server.security.tokens import TokenFile
from kandinsky_server.settings import Settings, addresses
from kandinsky_server.startup.capacity import Demand, by_stage, readable, shortage
from kandinsky_server.startup.constants import complete
from kandinsky_server.startup.device_memory import configure_allocator, memory_of
from kandinsky_server.startup.footprint import weight_bytes
from kandinsky_server.startup.loading import LoadOptions, ModelLoader
from kandinsky_server.startup.number_type import NumberType
from kandinsky_server.startup.resolve import backend_options, overrides, sources_of
from kandinsky_server.startup.takeover import Takeover, Takeovers
from kandinsky_server.telemetry.metrics import Metrics
from kandinsky_server.telemetry.metrics_server import MetricsServer

if TYPE_CHECKING:
    from kandinsky_server.telemetry.tracing import Tracing

log = logging.getLogger(__name__)

PRIOR_SERVICE = prior_pb2.DESCRIPTOR.services_by_name["PriorService"].full_name
IMAGE_SERVICE = image_pb2.DESCRIPTOR.services_by_name["ImageService"].full_name
SERVER_SERVICE = server_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name

SHUTDOWN_GRACE_SECONDS = 1.0
"""For final statuses to be sent; health watches and other streams without end are cut after it."""


class App:
    """The server. ``start`` binds and answers health and info; ``load`` makes it serve; ``drain`` and ``stop`` end it.

    Where something else listens, ``interceptor`` and ``add_services`` are what it calls, and ``start`` is left out.

    ``beat`` is called now and then, as `Backstop.beat` is to be.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics | None = None,
        beat: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.threads = set_threads(settings.threads)
        set_precision(settings.tf32, settings.deterministic)
        self.device = pick_device(settings.device)
        configure_allocator(self.device)
        self.number_type = NumberType.of(settings, self.device)
        self.backend_options = backend_options(settings, self.threads, self.number_type)
        sources = sources_of(settings)
        self.model = Model(
            sources, DepthEstimator(sources.depth, self.device), CostModel(), status="starting"
        )
        self.pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="images")
        self.decoders = Decoders(max(settings.max_input_pixels, settings.max_pixels), settings.decode_seconds)
        self.residency = Residency(self.device) if settings.offload == "model" else None
        self.engine = Engine(
            self.model.networks,
            self.model.cost,
            observers=[self.metrics],
            exclusive=settings.deterministic,
            residency=self.residency,
            watchdog=Watchdog(Timeouts(settings.step_timeout_seconds, settings.load_timeout_seconds), beat),
            device=device_for(self.device),
        )
        share = settings.default_share
        self.admission = Admission(self.engine, settings.queue_size, share)
        unread = Allotment(settings.max_unread_bytes, share, settings.max_request_unread_bytes)
        self.unread = UnreadBudget(unread, settings.max_request_unread_bytes)
        self.delivery = Delivery(settings.write_timeout_seconds)
        decoded = Allotment(settings.max_decoded_bytes, share)
        self.budget = ByteBudget(decoded, self.admission.retry_after)
        self.limits = Limits.of(settings)
        self.intake = Intake(
            self.limits, settings.max_receiving_bytes, settings.receive_seconds, settings.default_share
        )
        self.handlers = Handlers(self._info(), self.engine.check)
        self.health = Health()
        self.tracing = tracing_of(settings)
        self.server: grpc.aio.Server | None = None
        self.port = 0
        self.metrics_server: MetricsServer | None = None
        self.trimming: asyncio.Task[None] | None = None
        self.loads = LoadReports(self.admission.load, settings.target_queue_seconds, self.metrics)
        self.measuring: asyncio.Task[None] | None = None
        self.failing: asyncio.Task[None] | None = None
        self.takeovers = Takeovers([], self.engine.between_steps, self._on_takeover)

    def _info(self) -> InfoSource:
        return InfoSource(
            model=self.model,
            name=self.settings.model or ("" if overrides(self.settings).given() else TOY),
            limits=self.limits,
            backends=functools.cache(lambda: available_backends(self.backend_options, self.device)),
            device=str(self.device),
            dtype=self.number_type.told,
        )

    def interceptor(self) -> RequestInterceptor:
        """What stands before the services, on whatever server they are."""
        settings = self.settings
        tokens = TokenFile(settings.tokens_file) if settings.tokens_file else None
        return RequestInterceptor(
            self.metrics,
            Authentication(tokens),
            self.intake,
            self.delivery,
            settings.max_request_seconds,
            self.loads,
            self.tracing,
            settings.log_prompts,
        )

    def add_services(self, server: grpc.aio.Server) -> None:
        """Registers the services of the contract."""
        prior_pb2_grpc.add_PriorServiceServicer_to_server(PriorService(self.handlers), server)
        image_pb2_grpc.add_ImageServiceServicer_to_server(ImageService(self.handlers), server)
        server_pb2_grpc.add_ServerServiceServicer_to_server(ServerService(self.handlers), server)

    async def start(self) -> None:
        """Binds the ports. Health says NOT_SERVING, and RPCs are answered with STARTING, until `load` ends."""
        self.server = server = make_server([self.interceptor()], transport.options(self.settings))
        self.add_services(server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        self.loads.add_to(server)
        if self.settings.reflection:
            services = (
                PRIOR_SERVICE,
                IMAGE_SERVICE,
                SERVER_SERVICE,
                health.SERVICE_NAME,
                load_reports.SERVICE,
            )
            add_reflection(services, server)
        for name in ("", PRIOR_SERVICE, IMAGE_SERVICE, SERVER_SERVICE, *STAGES):
            self.health.set(name, serving=False)
        self.port = transport.bind(server, self.settings)
        # Before the first call is taken: a port that cannot be had ends the process without a word to anybody.
        self.serve_metrics()
        await server.start()
        self.health.set(SERVER_SERVICE, serving=True)

    async def _give_up(self) -> None:
        """Once the engine has failed: nothing is SERVING any more, this process least of all."""
        await self.engine.failed.wait()
        self.health.shut_down()
        for ticket in self.admission.tickets:
            ticket.cancel(self.engine.failure())

    @property
    def address(self) -> str:
        """What clients dial."""
        return addresses.address(self.settings.host, self.port)

    def serve_metrics(self) -> None:
        """Opens the port of the metrics, if there is to be one.

        Raises:
            OSError: it cannot be opened; with a sentence that says why.
        """
        host, port = self.settings.metrics_host, self.settings.metrics_port
        if port is None:
            return
        try:
            self.metrics_server = MetricsServer(
                self.metrics.registry,
                host,
                port,
                self.settings.metrics_connections,
                self.settings.metrics_seconds,
            )
        except OSError as error:
            why = addresses.obstacle(host, port) or error.strerror
            raise OSError(f"metrics cannot be served on {addresses.address(host, port)}: {why}") from error

    @property
    def metrics_port(self) -> int | None:
        """None when no metrics are served."""
        return self.metrics_server.port if self.metrics_server else None

    async def load(self) -> None:
        """Starts the engine, whose thread loads the model first, and turns health to SERVING.

        Raises:
            CheckpointError: a checkpoint cannot be loaded.
            BackendUnavailable: the backend cannot be used, or in strict mode cannot run a network.
            DeviceHung: that takes longer than it may.
        """
        self.failing = asyncio.create_task(self._give_up())
        # Beside each other: a worker is long ready when the model is.
        await asyncio.gather(self.decoders.start(), self.engine.start(self._load))
        cache = SingleFlightCache[Embeddings](self.settings.prior_cache_size, self.metrics.on_lookup)
        self.handlers.runtime = Runtime(
            self.model,
            self.engine,
            self.admission,
            self.unread,
            self.pool,
            cache,
            self.number_type.told,
        )
        self.handlers.converter = Converter(
            self.model,
            self.limits,
            Pictures(self.limits.input_pixel_count, self.decoders, self.budget),
        )
        self._publish()
        loaded = {stage.name for stage in self.model.stages}
        for name in loaded:
            self.health.set(name, serving=True)
        self.health.set(PRIOR_SERVICE, serving="prior" in loaded)
        self.health.set(IMAGE_SERVICE, serving=bool(self.model.decoders))
        self.health.set("", serving=True)
        self.takeovers.start()
        self.trimming = asyncio.create_task(Trimmer().run(self.engine.resting))
        self.measuring = asyncio.create_task(self.loads.run())

    def _load(self) -> None:
        settings = self.settings
        log.info("the networks compute in %s on %s", self.number_type.told, self.device)
        options = LoadOptions(
            device=self.device,
            dtype=self.number_type.dtype,
            backend=get_backend(settings.backend, self.backend_options, self.device),
            strict=settings.strict_backend,
            max_batch_rows=settings.max_batch_rows,
            max_batch_pixels=settings.max_batch_pixels,
            prepared_rows=(settings.buckets or DEFAULT_BUCKETS)[-1],
            sizes=tuple(map(parse_size, settings.sizes or ())),
            residency=self.residency,
        )
        self._check_fetched()
        loader = ModelLoader(options, self.model, self.engine.observers, self.engine.watchdog.loading)
        loader.load()
        complete(self.model, self.residency)
        self._tell_memory()
        self.takeovers = Takeovers(loader.takeovers, self.engine.between_steps, self._on_takeover)

    def _check_fetched(self) -> None:
        """Fetches what comes from the hub, before any of it is loaded; the preflight has looked at directories alone.

        Raises:
            CheckpointError: a checkpoint cannot be served, or all of them need more memory than there is.
        """
        sources = self.model.sources.given()
        if not any(map(is_on_hub, sources.values())):
            return
        checkpoints = Checkpoints(torch.device("cpu"), self.number_type.dtype)
        stages = []
        for name, source in sources.items():
            self.model.status = what = f"fetching {name}"
            with self.engine.watchdog.loading(what):
                stages.append(checkpoints.sketch(name, source).stage)
        demand = Demand.of(stages, None, self.residency is not None)
        if why := shortage(demand, memory_of(self.device)):
            raise CheckpointError(why)

    def _tell_memory(self) -> None:
        """Logs what the model takes, and how much of it works at once."""
        model = self.model
        weights = weight_bytes({stage.name: stage.networks for stage in model.stages} | model.depth.networks)
        areas = {stage.name: stage.native_area for stage in model.stages}
        rows = ", ".join(f"{name} {model.networks[name].rows_for(area)}" for name, area in areas.items())
        free = memory_of(self.device).device
        log.info(
            "weights: %s; rows of a batch at the native size: %s; %s free on %s; %d threads",
            by_stage(weights),
            rows,
            "unknown" if free is None else readable(free),
            self.device,
            self.threads,
        )
        if self.device.type == "cpu":
            log.info("%s", advice(self.number_type.dtype, instructions()))

    def _on_takeover(self, takeover: Takeover, prepared: PreparedNetwork) -> None:
        """On the engine's thread: a network's backend is ready, or will never be."""
        name = takeover.part.name
        self.model.reports[takeover.stage].prepared[name] = prepared
        self._publish_network(name, prepared)
        if prepared.fallback:
            for observer in self.engine.observers:
                observer.on_fallback(name, name, prepared.fallback.backend_name, prepared.fallback.kind)
        else:
            log.info("%s takes over %s from eager", prepared.backend_name, name)

    def _publish(self) -> None:
        """What is known once the model is loaded."""
        self.metrics.watch_queue(lambda: self.admission.length)
        self.metrics.watch_device(self.device)
        self.metrics.build.info({"device": str(self.device), "dtype": self.number_type.told, **versions()})
        for name, report in self.model.reports.items():
            self.metrics.load_seconds.labels(name).set(report.load_seconds)
            for network, prepared in report.prepared.items():
                self._publish_network(network, prepared)

    def _publish_network(self, name: str, prepared: PreparedNetwork) -> None:
        asked = prepared.fallback.backend_name if prepared.fallback else prepared.backend_name
        if prepared.parity_difference is not None:
            self.metrics.parity.labels(name, asked).set(prepared.parity_difference)
        if prepared.fallback is None:
            self.metrics.serving_since.labels(name, prepared.backend_name).set_to_current_time()

    async def drain(self, force_exit: asyncio.Event | None = None) -> None:
        """Turns health to NOT_SERVING and new work away; ends when running work has.

        Requests that can go on elsewhere end after the present step, with their last checkpoints. What still runs
        after ``drain_seconds``, or when ``force_exit`` is set, is answered with DRAINING. The port stays
        open until the end: it is the answer DRAINING that tells clients to go elsewhere.
        """
        self.admission.draining = True
        self.health.shut_down()
        failure = Draining("this server shut down before it was done; try again", DRAINING_RETRY_SECONDS)
        self.engine.hand_over(failure)
        ends = [asyncio.create_task(event.wait()) for event in (self.admission.empty, force_exit) if event]
        await asyncio.wait(ends, timeout=self.settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        for ticket in self.admission.tickets:
            ticket.cancel(failure)
        # A step, or a picture, may take longer than the last words do.
        self.engine.abandon(failure)
        self.decoders.abandon(failure)
        if self.server:
            await self.server.stop(SHUTDOWN_GRACE_SECONDS)

    async def stop(self) -> None:
        """Ends everything at once."""
        if self.server:
            await self.server.stop(0)
        for task in (self.failing, self.trimming, self.measuring):
            if task:
                task.cancel()
        self.takeovers.stop()
        if self.handlers.runtime is not None:
            await self.engine.stop()
        self.decoders.stop()
        # What hangs there must not keep this process.
        self.pool.shutdown(wait=False, cancel_futures=True)
        if self.tracing:
            await asyncio.to_thread(self.tracing.close)
        if self.metrics_server:
            self.metrics_server.close()


def tracing_of(settings: Settings) -> Tracing | None:
    """Where traces go; OpenTelemetry is an extra and imported only for it."""
    if settings.otlp_endpoint is None:
        return None
    from kandinsky_server.telemetry.tracing import Tracing

    return Tracing(settings.otlp_endpoint)
