"""One server process: its parts, made of the settings and put together. `Lifecycle` has them work."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
from kandinsky_backends.device import pick_device
from kandinsky_backends.precision import set_precision
from kandinsky_backends.registry import available_backends
from kandinsky_backends.threads import set_threads

from kandinsky_server.checkpoints.source import TOY
from kandinsky_server.diffusion.depth import DepthEstimator
from kandinsky_server.diffusion.model import Model
from kandinsky_server.diffusion.residency import Residency
from kandinsky_server.engine.admission.admission import Admission
from kandinsky_server.engine.admission.allotment import Allotment
from kandinsky_server.engine.cache import SingleFlightCache
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.device import device_for
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.watchdog import Timeouts, Watchdog
from kandinsky_server.flows.requests import Embeddings
from kandinsky_server.flows.session import Runtime
from kandinsky_server.flows.unread import UnreadBudget
from kandinsky_server.images.budget import ByteBudget
from kandinsky_server.images.decoders import Decoders
from kandinsky_server.rpc import transport
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
from kandinsky_server.rpc.registration import add_services, add_standard_services
from kandinsky_server.rpc.server import make_server
from kandinsky_server.rpc.services import Handlers
from kandinsky_server.security.tokens import TokenFile
from kandinsky_server.settings import Settings
from kandinsky_server.startup.device_memory import configure_allocator
from kandinsky_server.startup.number_type import NumberType
from kandinsky_server.startup.resolve import backend_options, overrides, sources_of
from kandinsky_server.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from kandinsky_server.telemetry.tracing import Tracing


class App:
    """The parts of a server. Nothing is bound, loaded or running yet; made on the event loop that will serve.

    Where something else listens, `interceptor` and the handlers are what it calls, and ``server`` is never started.

    ``beat`` is called now and then, as `Backstop.beat` is to be.

    Raises:
        CheckpointError: it cannot be told where the checkpoints come from.
        RuntimeError: the device cannot be used.
        OSError: the file of tokens cannot be read.
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
        self.intake = Intake(self.limits, settings.max_receiving_bytes, settings.receive_seconds, share)
        self.handlers = Handlers(self._info(), self.engine.check)
        self.health = Health()
        self.tracing = tracing_of(settings)
        self.loads = LoadReports(self.admission.load, settings.target_queue_seconds, self.metrics)
        self.server = self._server()

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
        return RequestInterceptor(
            self.metrics,
            Authentication(TokenFile(settings.tokens_file) if settings.tokens_file else None),
            self.intake,
            self.delivery,
            settings.max_request_seconds,
            self.loads,
            self.tracing,
            settings.log_prompts,
        )

    def _server(self) -> grpc.aio.Server:
        server = make_server([self.interceptor()], transport.options(self.settings))
        add_services(server, self.handlers)
        add_standard_services(server, self.health, self.loads, self.settings.reflection)
        return server

    def answer_requests(self) -> None:
        """Gives the services what serves requests, once the model is loaded; until then they answer STARTING."""
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


def tracing_of(settings: Settings) -> Tracing | None:
    """Where traces go; OpenTelemetry is an extra and imported only for it."""
    if settings.otlp_endpoint is None:
        return None
    from kandinsky_server.telemetry.tracing import Tracing

    return Tracing(settings.otlp_endpoint)
