"""Bad weather around the engine: devices that hang or pause, work that others wait for, backends that return nonsense."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from kandinsky_client import EmbeddingPair, Kandinsky, RpcError

from benchmarks.attacks.attack import Attack, Verdict

WAITING = 8
QUICK = 50
LEFT = 10.0
"""Seconds that each quick request has."""

PAUSE = 20.0

STEPS = 8
EXIT_SECONDS = 15.0
"""From the end of what a step may take to the end of the process, when it is slow."""


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[str]
    target: str
    trigger: Path

    def client(self) -> Kandinsky:
        return Kandinsky(self.target, retries=0)

    def hang(self) -> None:
        self.trigger.touch()


@contextmanager
def _serving(network: str, how: str, *flags: str) -> Iterator[_Server]:
    """`kandinsky serve` on the toy model, whose ``network`` can be made to hang."""
    with tempfile.TemporaryDirectory() as directory:
        trigger = Path(directory) / "now"
        module = [sys.executable, "-m", "benchmarks.attacks.hanging", str(trigger), network, how]
        own = ["--port=0", "--metrics-port=null", "--backend=eager", "--device=cpu", "--threads=1", *flags]
        with subprocess.Popen(
            [*module, *own], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                assert process.stdout is not None
                line = next(line for line in process.stdout if line.startswith("serving on "))
                yield _Server(process, line.split()[2].rstrip(","), trigger)
            finally:
                process.kill()


def _pair(client: Kandinsky) -> EmbeddingPair:
    return client.prior("a red circle", seed=1, step_count=2)[0].embedding


def _reason(client: Kandinsky, *arguments: Any, **options: Any) -> str:
    """What a Decode is answered with: OK, or the reason."""
    try:
        client.decode(*arguments, **options)
    except RpcError as error:
        return error.reason or type(error).__name__
    return "OK"


def hung(network: str, how: str, limit: float) -> Verdict:
    """Eight requests without a deadline wait for a call that never returns."""
    with (
        _serving(network, how, f"--step-timeout-seconds={limit:g}") as server,
        server.client() as client,
        ThreadPoolExecutor(WAITING) as threads,
    ):
        pair = _pair(client)
        server.hang()
        started = time.monotonic()
        asked = [
            threads.submit(_reason, client, pair, step_count=STEPS, timeout=None) for _ in range(WAITING)
        ]
        reasons = Counter(answer.result(limit + 10 * EXIT_SECONDS) for answer in asked)
        code = server.process.wait(limit + 10 * EXIT_SECONDS)
        seconds = time.monotonic() - started
    told = how == "holding" or set(reasons) == {"DEVICE_HUNG"}
    answers = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    held = told and code == 1 and seconds < limit + EXIT_SECONDS
    return Verdict(held, f"{answers}; exit code {code} after {seconds:.0f} s")


def paused(seconds: float) -> Verdict:
    """The whole process stands still in the middle of a step, then many ask who have little time."""
    with _serving("none", "waiting") as server, server.client() as client, ThreadPoolExecutor(1) as threads:
        pair = _pair(client)
        running = threads.submit(client.decode, pair, step_count=300, timeout=None)
        time.sleep(1)
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        server.process.send_signal(signal.SIGCONT)
        running.result(600)
        reasons = Counter(_reason(client, pair, step_count=STEPS, timeout=LEFT) for _ in range(QUICK))
        alive = server.process.poll() is None
    refused = reasons["DEADLINE_UNREACHABLE"]
    return Verdict(alive and not refused, f"{refused} of {QUICK} refused; {'alive' if alive else 'ended'}")


def inverted() -> Verdict:
    """An urgent Prior for the prompt that a request of low priority computes, behind work of normal priority."""
    options: dict[str, Any] = {"seed": 3, "step_count": 25, "timeout": None}
    with (
        _serving("none", "waiting", "--max-batch-rows=2", "--prior-cache-size=0") as server,
        server.client() as client,
        client.stream.prior("a blue square", seed=2, step_count=1000, timeout=None) as normal,
    ):
        next(normal)
        with client.stream.prior("a red circle", priority="low", **options) as low:
            next(low)
            started = time.monotonic()
            client.prior("a green triangle", priority="high", **options)
            other = time.monotonic() - started
            started = time.monotonic()
            client.prior("a red circle", priority="high", **options)
            same = time.monotonic() - started
    return Verdict(same < 5 * other + 1, f"{same:.1f} s ({other:.1f} s for another prompt)")


def forgotten() -> Verdict:
    """Sixteen endless pictures, given up; somebody with a deadline comes at once."""
    with _serving("none", "waiting", "--max-batch-rows=2") as server, server.client() as client:
        pair, refused = _pair(client), 0
        for _ in range(8):
            with client.stream.decode(pair, step_count=1000, image_count=16, timeout=None) as endless:
                next(endless)
                time.sleep(0.2)
            refused += _reason(client, pair, step_count=STEPS, timeout=LEFT) == "DEADLINE_UNREACHABLE"
    return Verdict(not refused, f"{refused} of 8 refused")


def enormous() -> Verdict:
    """Finite embeddings that no CLIP makes."""
    reasons: Counter[str] = Counter()
    with _serving("none", "waiting") as server, server.client() as client:
        pair = _pair(client)
        width = len(pair.positive.array)
        for value in (3e38, -3e38, 1e30, 1e20, 1e5):
            positive = replace(pair.positive, data=np.full(width, value, "<f4").tobytes())
            reasons[_reason(client, replace(pair, positive=positive), step_count=2)] += 1
        sound = _reason(client, pair, step_count=2)
    answers = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return Verdict(set(reasons) == {"INVALID_EMBEDDING"} and sound == "OK", answers)


ATTACKS = (
    Attack(
        "a device that hangs",
        f"{WAITING} callers, 10 s a step",
        "SERVING for ever, SIGTERM too",
        lambda: hung("UnetNetwork", "waiting", 10),
    ),
    Attack(
        "a MoVQ that hangs",
        f"{WAITING} callers, 10 s a step",
        "SERVING for ever",
        lambda: hung("MovqDecoderNetwork", "waiting", 10),
    ),
    Attack(
        "a device that hangs with the global lock",
        f"{WAITING} callers, 10 s a step",
        "no answer for ever",
        lambda: hung("UnetNetwork", "holding", 10),
    ),
    Attack(
        "a pause",
        f"{PAUSE:.0f} s, {QUICK} Decodes with {LEFT:.0f} s",
        "50 of 50 refused",
        lambda: paused(PAUSE),
    ),
    Attack("urgent work behind a prompt of low priority", "25 steps", "90 s (0.6 s)", inverted),
    Attack("work that is given up", "8 times 16 pictures", "8 refused over 7.5 s", forgotten),
    Attack("enormous embeddings", "5 values", "INTERNAL, NON_FINITE", enormous),
)
