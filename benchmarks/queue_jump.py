"""A 10-step request that arrives behind two 100-step ones: its latency over its latency alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

from kandinsky_client import EmbeddingPair, Kandinsky

from benchmarks.figure import Figure, at_most
from benchmarks.load import Material
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

HEAD_START_SECONDS = 0.1


def measure(setting: Setting) -> Iterator[Figure]:
    """The same on the naive server, for comparison."""
    rounds = setting.scaled(7, 2)
    with setting.ours() as ours, setting.naive() as naive:
        ratios, waits = behind_over_alone(ours, rounds), behind_over_alone(naive, 1)
    yield Figure(
        f"10 steps behind 2 x 100, {setting.backend}",
        at_most(3),
        ratios,
        "x",
        setting.command("queue_jump"),
        f"the naive server: {waits[0]:.1f}x",
    )


def behind_over_alone(server: ServerProcess, rounds: int) -> list[float]:
    """Of each round: the latency behind the others over that alone."""
    with server.client() as client:
        pair = Material.of(client).pair
        return [_behind(server, client, pair) / _alone(client, pair) for _ in range(rounds)]


def _alone(client: Kandinsky, pair: EmbeddingPair) -> float:
    started = time.monotonic()
    client.decode(pair, seed=1, step_count=10)
    return time.monotonic() - started


def _behind(server: ServerProcess, client: Kandinsky, pair: EmbeddingPair) -> float:
    with ExitStack() as stack:
        for seed in (2, 3):
            other = stack.enter_context(server.client())
            thread = threading.Thread(
                target=other.decode, args=[pair], kwargs={"seed": seed, "step_count": 100}
            )
            thread.start()
            stack.callback(thread.join)
        time.sleep(HEAD_START_SECONDS)
        return _alone(client, pair)
