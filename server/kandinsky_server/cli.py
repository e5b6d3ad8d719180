"""`kandinsky serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from kandinsky_server.settings import Settings

log = logging.getLogger(__name__)

EXIT_FAILED = 1


app = typer.Typer(add_completion=False)


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def serve(context: typer.Context) -> None:
    """Serve Kandinsky 2.2 over gRPC (`kandinsky serve --help` lists every setting)."""
    _tune_libraries()
    from kandinsky_server.settings import load_settings

    sys.exit(main(load_settings(context.args)))


def _tune_libraries() -> None:
    """Sets what libraries read once, as they are imported; the settings import grpc."""
    # Spinning threads starve each other on shared cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Libraries that look at the CPU fork while the port is open; the children never use gRPC.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def main(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, or only checks; returns the exit code.

    Settings that cannot work end the process with code 2 before anything is loaded.
    """
    from kandinsky_server.places import temporary_obstacle
    from kandinsky_server.settings import refuse

    if why := temporary_obstacle():
        refuse([why])
    from kandinsky_server import logs
    from kandinsky_server.preflight import Preflight

    logs.configure(settings)
    preflight = Preflight(settings)
    preflight.run()
    if settings.check:
        for what, found in preflight.findings:
            print(f"{what:12}{found}")
    if preflight.problems:
        refuse(preflight.problems)
    return 0 if settings.check else asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    from kandinsky_backends.base import BackendUnavailable

    from kandinsky_server.app import App
    from kandinsky_server.diffusion.source import CheckpointError

    stopping, hurrying = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: (hurrying if stopping.is_set() else stopping).set())
    try:
        app = App(settings)
        await app.start()
    except (CheckpointError, RuntimeError, OSError) as error:
        return _fail(str(error))
    print(f"listening on {app.address}", flush=True)
    loading, stop = asyncio.create_task(app.load()), asyncio.create_task(stopping.wait())
    await asyncio.wait({loading, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        # The thread that loads cannot be interrupted, and nobody waits for what it would bring.
        await app.stop()
        os._exit(0)
    try:
        await loading
    except (CheckpointError, BackendUnavailable) as error:
        await app.stop()
        return _fail(str(error))
    except Exception as error:
        log.exception("loading failed")
        await app.stop()
        return _fail(f"the model cannot be served: {type(error).__name__}: {error}")
    print(f"serving on {app.address}, metrics on port {app.metrics_port}", flush=True)
    failed = asyncio.create_task(app.engine.failed.wait())
    await asyncio.wait({stop, failed}, return_when=asyncio.FIRST_COMPLETED)
    await app.drain(hurrying)
    await app.stop()
    return _fail("the engine failed; start the server again") if app.engine.failed.is_set() else 0


def _fail(message: str) -> int:
    print(f"kandinsky serve: {message}", file=sys.stderr)
    return EXIT_FAILED
