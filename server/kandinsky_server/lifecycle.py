"""How a server process goes: it binds, loads, serves, drains and stops."""

from __future__ import annotations

import asyncio
import logging

from kandinsky_backends.parity import PreparedNetwork

from kandinsky_server.app import App
from kandinsky_server.engine.admission.admission import DRAINING_RETRY_SECONDS
from kandinsky_server.errors import Draining
from kandinsky_server.memory import Trimmer
from kandinsky_server.rpc import transport
from kandinsky_server.rpc.registration import IMAGE_SERVICE, PRIOR_SERVICE, SERVER_SERVICE, SERVICES
from kandinsky_server.rpc.respond import versions
from kandinsky_server.settings import addresses
from kandinsky_server.startup.constants import complete
from kandinsky_server.startup.fetching import fetch
from kandinsky_server.startup.load_options import load_options
from kandinsky_server.startup.loading import ModelLoader
from kandinsky_server.startup.occupancy import log_occupancy
from kandinsky_server.startup.takeover import Takeover, Takeovers, tell_fallback
from kandinsky_server.telemetry.metrics_server import MetricsServer

log = logging.getLogger(__name__)

SHUTDOWN_GRACE_SECONDS = 1.0
"""For final statuses to be sent; health watches and other streams without end are cut after it."""


class Lifecycle:
    """``start`` binds and answers health and info; ``load`` makes the app serve; ``drain`` and ``stop`` end it.

    Attributes:
        port: the gRPC port's number once it is bound; 0 before, and of a Unix socket.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.port = 0
        self._metrics_server: MetricsServer | None = None
        self._failing: asyncio.Task[None] | None = None
        self._trimming: asyncio.Task[None] | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._takeovers = Takeovers([], app.engine.between_steps, self._on_takeover)

    @property
    def address(self) -> str:
        """What clients dial."""
        return addresses.address(self.app.settings.host, self.port)

    @property
    def metrics_port(self) -> int | None:
        """None when no metrics are served."""
        return self._metrics_server.port if self._metrics_server else None

    async def start(self) -> None:
        """Binds the ports. Health says NOT_SERVING, and RPCs are answered with STARTING, until `load` ends.

        Raises:
            OSError: a port cannot be opened, with a sentence that says why.
        """
        app = self.app
        for name in ("", *SERVICES, *app.model.family.stages):
            app.health.set(name, serving=False)
        self.port = transport.bind(app.server, app.settings)
        # Before the first call is taken: a port that cannot be had ends the process without a word to anybody.
        self.serve_metrics()
        await app.server.start()
        app.health.set(SERVER_SERVICE, serving=True)

    def serve_metrics(self) -> None:
        """Opens the metrics port, if there is to be one; raises OSError as `start` does."""
        settings = self.app.settings
        host, port = settings.metrics_host, settings.metrics_port
        if port is None:
            return
        registry = self.app.metrics.registry
        try:
            self._metrics_server = MetricsServer(
                registry, host, port, settings.metrics_connections, settings.metrics_seconds
            )
        except OSError as error:
            why = addresses.obstacle(host, port) or error.strerror
            raise OSError(f"metrics cannot be served on {addresses.address(host, port)}: {why}") from error

    async def _give_up(self) -> None:
        """Once the engine has failed: nothing is SERVING any more, this process least of all."""
        engine = self.app.engine
        await engine.failed.wait()
        self.app.health.shut_down()
        for ticket in self.app.admission.tickets:
            ticket.cancel(engine.failure())

    async def load(self) -> None:
        """Starts the engine, whose thread loads the model first, and turns health to SERVING.

        Raises:
            CheckpointError: a checkpoint cannot be loaded.
            BackendUnavailable: the backend cannot be used, or in strict mode cannot run a network.
            DeviceHung: that takes longer than it may.
        """
        app = self.app
        # Here, not in `start`: Ray Serve's replicas have no port and leave that out.
        self._failing = asyncio.create_task(self._give_up())
        # Beside each other: a worker is long ready when the model is.
        await asyncio.gather(app.decoders.start(), app.engine.start(self._load))
        app.answer_requests()
        self._publish()
        for stage in app.model.stages:
            app.health.set(stage.name, serving=True)
        app.health.set(PRIOR_SERVICE, serving=app.model.prior is not None)
        app.health.set(IMAGE_SERVICE, serving=bool(app.model.decoders))
        app.health.set("", serving=True)
        self._takeovers.start()
        self._trimming = asyncio.create_task(Trimmer().run(app.engine.resting))
        self._measuring = asyncio.create_task(app.loads.run())

    def _load(self) -> None:
        """On the engine's thread."""
        app, watch = self.app, self.app.engine.watchdog.loading
        log.info("the networks compute in %s on %s", app.number_type.told, app.device)
        options = load_options(app.settings, app.device, app.number_type, app.backend_options, app.residency)
        fetch(app.model, options, watch)
        loader = ModelLoader(options, app.model, app.engine.observers, watch)
        loader.load()
        complete(app.model, app.residency)
        log_occupancy(app.model, options, app.threads)
        self._takeovers = Takeovers(loader.takeovers, app.engine.between_steps, self._on_takeover)

    def _on_takeover(self, takeover: Takeover, prepared: PreparedNetwork) -> None:
        """On the engine's thread: a network's backend is ready, or will never be."""
        name = takeover.part.name
        self.app.model.reports[takeover.stage].prepared[name] = prepared
        self.app.metrics.on_prepared(name, prepared)
        tell_fallback(self.app.engine.observers, name, prepared)
        if prepared.fallback is None:
            log.info("%s takes over %s from eager", prepared.backend_name, name)

    def _publish(self) -> None:
        """Puts into the metrics what is known once the model is loaded."""
        app, metrics = self.app, self.app.metrics
        metrics.watch_queue(lambda: app.admission.length)
        metrics.watch_device(app.device)
        metrics.build.info({"device": str(app.device), "dtype": app.number_type.told, **versions()})
        for name, report in app.model.reports.items():
            metrics.load_seconds.labels(name).set(report.load_seconds)
            for network, prepared in report.prepared.items():
                metrics.on_prepared(network, prepared)

    async def drain(self, force_exit: asyncio.Event | None = None) -> None:
        """Turns health to NOT_SERVING and new work away; ends when running work has.

        Requests that can go on elsewhere end after the present step, with their last checkpoints. What still runs after
        ``drain_seconds``, or when ``force_exit`` is set, is answered with DRAINING. The port stays open until the end: it
        is the answer DRAINING that tells clients to go elsewhere.
        """
        app = self.app
        app.admission.draining = True
        app.health.shut_down()
        failure = Draining("this server shut down before it was done; try again", DRAINING_RETRY_SECONDS)
        app.engine.hand_over(failure)
        ends = [asyncio.create_task(event.wait()) for event in (app.admission.empty, force_exit) if event]
        await asyncio.wait(ends, timeout=app.settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        for ticket in app.admission.tickets:
            ticket.cancel(failure)
        # A step, or a picture, may take longer than the last words do.
        app.engine.abandon(failure)
        app.decoders.abandon(failure)
        await app.server.stop(SHUTDOWN_GRACE_SECONDS)

    async def stop(self) -> None:
        """Ends everything at once."""
        app = self.app
        await app.server.stop(0)
        for task in (self._failing, self._trimming, self._measuring):
            if task:
                task.cancel()
        self._takeovers.stop()
        if app.handlers.runtime is not None:
            await app.engine.stop()
        app.decoders.stop()
        # What hangs there must not keep this process.
        app.pool.shutdown(wait=False, cancel_futures=True)
        if app.tracing:
            await asyncio.to_thread(app.tracing.close)
        if self._metrics_server:
            self._metrics_server.close()
