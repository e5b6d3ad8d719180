"""A device that is broken for this process: the server must end, so that another can be started."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
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
        pair, running, seen = Material.of(client).pair, threading.Event(), list[tuple[int, float]]()
        asking = threading.Thread(target=_ask, args=[client, pair, running, seen], daemon=True)
        asking.start()
        running.wait(PATIENCE_SECONDS)
        step = _step_seconds(seen)
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
    bar = None if step is None else at_most(step + ENDING_SECONDS)
    words += "; no step was seen before" if step is None else f"; a step takes {step:.3f} s"
    yield Figure("illegal access: seconds until the process has ended", bar, ended, " s", command, words)


def _step_seconds(seen: Sequence[tuple[int, float]]) -> float | None:
    """What a step takes, by steps and the times at which they were seen to have ended; None for fewer than two."""
    steps = seen[-1][0] - seen[0][0] if seen else 0
    return (seen[-1][1] - seen[0][1]) / steps if steps else None


def _ask(
    client: Kandinsky, pair: EmbeddingPair, running: threading.Event, seen: list[tuple[int, float]]
) -> None:
    """Notes when some steps have ended, then says that it is running. A reader who is slow does not see each."""
    with (
        suppress(KandinskyError, grpc.RpcError),
        client.stream.decode(pair, seed=1, step_count=1000) as events,
    ):
        for event in events:
            if isinstance(event, Progress) and not running.is_set():
                seen.append((event.step, time.monotonic()))
                if event.step > STEPS:
                    running.set()
