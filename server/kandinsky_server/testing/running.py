"""A real server in this process: its own event loop in its own thread, ports the system picks."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self

from kandinsky_client import Kandinsky

from kandinsky_server.app import App
from kandinsky_server.engine.report import StepReport
from kandinsky_server.lifecycle import Lifecycle
from kandinsky_server.settings import Settings
from kandinsky_server.testing.device import DEVICE


class Recorder:
    """An engine observer that keeps every report."""

    def __init__(self) -> None:
        self.steps: list[StepReport] = []
        self.fallbacks: list[tuple[str, str, str, str]] = []
        self.out_of_memory: list[tuple[str, str, int]] = []
        self.unprepared: list[str] = []

    def on_step(self, report: StepReport) -> None:
        self.steps.append(report)

    def on_fallback(self, network: str, stage: str, backend: str, reason: str) -> None:
        self.fallbacks.append((network, stage, backend, reason))

    def on_out_of_memory(self, network: str, stage: str, rows: int) -> None:
        self.out_of_memory.append((network, stage, rows))

    def on_unprepared(self, network: str) -> None:
        self.unprepared.append(network)


class RunningServer:
    """Use as a context manager; ``settings`` override those of a small server on the tests' device.

    ``checkpoint`` holds the stages; None serves those that ``settings`` name.
    """

    def __init__(self, checkpoint: Path | None = None, **settings: Any) -> None:
        defaults = {
            "port": 0,
            "metrics_port": 0,
            "model": str(checkpoint) if checkpoint else None,
            "backend": "eager",
            "threads": 1,
            "device": str(DEVICE),
            "dtype": "fp32",
            "max_batch_rows": 16,
            "backend_cache_dir": None,
        }
        self.settings = Settings(**{**defaults, **settings})
        self.recorder = Recorder()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.lifecycle = self.run(self._create())
        self.app = self.lifecycle.app
        self.run(self.lifecycle.start())
        self.run(self.lifecycle.load())
        return self

    async def _create(self) -> Lifecycle:
        app = App(self.settings)
        app.engine.observers.append(self.recorder)
        return Lifecycle(app)

    def __exit__(self, *_: object) -> None:
        self.run(self.lifecycle.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, Any], timeout: float = 120) -> Any:
        """Runs a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.lifecycle.port}"

    @property
    def idle(self) -> bool:
        """Whether no request holds a place and nothing runs."""
        return not self.app.admission.tickets and not self.app.engine.active

    def client(self, **options: Any) -> Kandinsky:
        return Kandinsky(self.target, **options)


class StartingServer(RunningServer):
    """Bound, but with its model not loaded until `load`."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.lifecycle = self.run(self._create())
        self.app = self.lifecycle.app
        self.run(self.lifecycle.start())
        return self

    def load(self) -> None:
        self.run(self.lifecycle.load())
