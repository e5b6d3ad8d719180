"""A slower machine: a process that gets a share of its time, as a container with a CPU limit does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.process import ServerProcess

PERIOD_SECONDS = 0.1
"""As the Linux scheduler's own for CPU limits."""


@contextmanager
def throttled(server: ServerProcess, share: float) -> Iterator[None]:
    """Inside, the server runs for ``share`` of each period, and is stopped for the rest of it."""
    over = threading.Event()

    def alternate() -> None:
        while not over.wait(PERIOD_SECONDS * share):
            server.send(signal.SIGSTOP)
            over.wait(PERIOD_SECONDS * (1 - share))
            server.send(signal.SIGCONT)

    thread = threading.Thread(target=alternate)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
