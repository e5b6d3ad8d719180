"""A device that is broken for this process: the server must end, so that another can be started."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import grpc
from kandinsky_client import EmbeddingPair, Kandinsky, KandinskyError, Progress

from benchmarks.figure import Figure, at_most
from benchmarks.gpu.oom import PROGRAM
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.load import Material

PATIENCE_SECONDS = 20.0
EXIT_CODE = 1
STEPS = 20
"""Whose time is taken before the device breaks."""

ENDING_SECONDS = 0.5
"""On top of a step: for a process to let go of its CUDA context and of gigabytes. A guess; an H200 took 0.26 s in all."""


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """While a long request runs."""
    stand.close()
    command = plan.command("fatal")
    with plan.setting().ours(program=PROGRAM) as server, server.client() as client:
        pair, running, times = Material.of(client).pair, threading.Event(), list[float]()
        asking = threading.Thread(target=_ask, args=[client, pair, running, times], daemon=True)
        asking.start()
        running.wait(PATIENCE_SECONDS)
        step = (times[-1] - times[0]) / (len(times) - 1)
        server.send(signal.SIGHUP)
        began = time.monotonic()
        code = server.wait(PATIENCE_SECONDS)
        took = time.monotonic() - began
        server.stop()
        asking.join(PATIENCE_SECONDS)
    words = f"exit code {code}" if code is not None else f"it still ran after {PATIENCE_SECONDS:g} s"
    wrong = int(code != EXIT_CODE)
    yield Figure("illegal access: ended otherwise than with code 1", at_most(0), [wrong], "", command, words)
    ended = [took] if code is not None else []
    bar, words = at_most(step + ENDING_SECONDS), f"{words}; a step takes {step:.3f} s"
    yield Figure("illegal access: seconds until the process has ended", bar, ended, " s", command, words)


def _ask(client: Kandinsky, pair: EmbeddingPair, running: threading.Event, times: list[float]) -> None:
    """Notes when each of some steps has ended, then says that it is running."""
    with (
        suppress(KandinskyError, grpc.RpcError),
        client.stream.decode(pair, seed=1, step_count=1000) as events,
    ):
        for event in events:
            if isinstance(event, Progress) and not running.is_set():
                times.append(time.monotonic())
                if len(times) > STEPS:
                    running.set()
