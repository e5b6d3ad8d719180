"""`kandinsky serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from kandinsky_server.settings import Settings
    from kandinsky_server.startup.service_manager import ServiceManager
    from kandinsky_server.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

EXIT_FAILED = 1


app = typer.Typer(add_completion=False)


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def serve(context: typer.Context) -> None:
    """Serve Kandinsky 2.2 over gRPC (`kandinsky serve --help` lists every setting)."""
    tune_libraries()
    from kandinsky_server.settings import load_settings

    sys.exit(main(load_settings(context.args)))


def tune_libraries() -> None:
    """Sets what libraries read once, as they are imported; the settings import grpc."""
    # Spinning threads starve each other on shared cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Libraries that look at the CPU fork while the port is open; the children never use gRPC.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    # It writes to standard error by itself: a line for each broken handshake, and it waits while nobody reads.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def main(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, or only checks; returns the exit code.

    Settings that cannot work end the process with code 2 before anything is loaded.
    """
    from kandinsky_server.settings import refuse
    from kandinsky_server.startup.directories import temporary_obstacle
    from kandinsky_server.telemetry.metrics import Metrics
    from kandinsky_server.telemetry.output import never_waiting

    if why := temporary_obstacle():
        refuse([why])
    metrics = Metrics()
    with never_waiting(settings.log_buffer_bytes, metrics.log_lines_dropped.inc):
        return _main(settings, metrics)


def _main(settings: Settings, metrics: Metrics) -> int:
    from kandinsky_server.settings import refuse
    from kandinsky_server.startup.preflight import Preflight
    from kandinsky_server.telemetry import logs

    logs.configure(settings)
    preflight = Preflight(settings)
    preflight.run()
    if settings.check:
        for what, found in preflight.findings:
            print(f"{what:12}{found}")
    if preflight.problems:
        refuse(preflight.problems)
    return 0 if settings.check else asyncio.run(_run_and_leave(settings, metrics))


async def _run_and_leave(settings: Settings, metrics: Metrics) -> NoReturn:
    """Ends the process as soon as its work is done: Python itself would wait for every thread, and some may hang."""
    from kandinsky_server.telemetry.output import end_process

    end_process(await _run(settings, metrics))


def _beat(manager: ServiceManager) -> Callable[[float], None]:
    """The service manager's and the backstop's; the first alone where no second process can be had."""
    from kandinsky_server.backstop import Backstop

    try:
        backstop = Backstop()
    except OSError as error:
        log.warning("no second process watches this one: %s", error)
        return manager.beat

    def beat(seconds: float) -> None:
        manager.beat(seconds)
        backstop.beat(seconds)

    return beat


async def _run(settings: Settings, metrics: Metrics) -> int:
    import structlog
    from kandinsky_backends.base import BackendUnavailable

    from kandinsky_server.app import App
    from kandinsky_server.errors import CheckpointError, DeviceHung
    from kandinsky_server.lifecycle import Lifecycle
    from kandinsky_server.startup.service_manager import ServiceManager

    events = structlog.get_logger("kandinsky")
    stopping, force_exit = asyncio.Event(), asyncio.Event()
    loop, manager = asyncio.get_running_loop(), ServiceManager()

    def end(name: str) -> None:
        events.info("signal", signal=name)
        (force_exit if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number.name)
    try:
        app = App(settings, metrics, beat=_beat(manager))
        lifecycle = Lifecycle(app)
        await lifecycle.start()
    except (CheckpointError, RuntimeError, OSError) as error:
        return _fail(str(error))
    print(f"listening on {lifecycle.address}", flush=True)
    events.info("listening", address=lifecycle.address)
    loading, stop = asyncio.create_task(lifecycle.load()), asyncio.create_task(stopping.wait())
    await asyncio.wait({loading, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        # Nobody waits for what it would bring.
        await lifecycle.stop()
        return 0
    try:
        await loading
    except DeviceHung as error:
        force_exit.set()
        await lifecycle.drain(force_exit)
        await lifecycle.stop()
        return _fail(str(error))
    except (CheckpointError, BackendUnavailable) as error:
        await lifecycle.stop()
        return _fail(str(error))
    except Exception as error:
        log.exception("loading failed")
        await lifecycle.stop()
        return _fail(f"the model cannot be served: {type(error).__name__}: {error}")
    metrics_words = (
        "no metrics" if lifecycle.metrics_port is None else f"metrics on port {lifecycle.metrics_port}"
    )
    print(f"serving on {lifecycle.address}, {metrics_words}", flush=True)
    manager.ready(f"serving on {lifecycle.address}")
    events.info("serving", address=lifecycle.address, metrics_port=lifecycle.metrics_port)
    failed = asyncio.create_task(app.engine.failed.wait())
    await asyncio.wait({stop, failed}, return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        force_exit.set()
    manager.stopping("draining")
    events.info("draining", running=len(app.admission.tickets), seconds=settings.drain_seconds)
    await lifecycle.drain(force_exit)
    await lifecycle.stop()
    events.info("stopped")
    return _fail("the engine failed; start the server again") if app.engine.failed.is_set() else 0


def _fail(message: str) -> int:
    print(f"kandinsky serve: {message}", file=sys.stderr)
    return EXIT_FAILED
