"""Envoy choosing by load reports (ORCA) against turns, before replicas of unequal speed: the slowest requests.

Both are the same Envoy files but for the policy, before the same servers, round by round.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Any

from kandinsky_client import EmbeddingPair, Kandinsky

from benchmarks.figure import Figure, at_least
from benchmarks.fleet import envoy
from benchmarks.fleet.crowd import RETRIES, SIZE_PX
from benchmarks.fleet.envoy import Envoy
from benchmarks.load import Material
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

STEPS = (10, 10, 10, 10, 100)
"""One of five requests is long."""

ROWS = (16, 2)
"""The most rows of a network call of each replica: the second serves one guided request at a time."""

TARGET_SECONDS = 1.0
"""Of queued work at which a report says that the server is fully used."""

CLIENTS = 8

ROUND_ROBIN: dict[str, Any] = {
    "name": "envoy.load_balancing_policies.round_robin",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin"
    },
}


def measure(setting: Setting) -> Iterator[Figure]:
    """Rounds A B A B; a warm-up of each lets the reports come in."""
    name, command = f"p99, turns over ORCA, {setting.backend}", setting.command("orca")
    if not envoy.installed():
        yield Figure(name, at_least(1.5), [], "x", command, envoy.MISSING)
        return
    ratios, notes = [], []
    with ExitStack() as stack:
        servers = [stack.enter_context(_server(setting, rows)) for rows in ROWS]
        pools = {"kandinsky": [server.target for server in servers]}
        turns = stack.enter_context(Envoy(pools, clusters="clusters-orca", policy=ROUND_ROBIN))
        orca = stack.enter_context(Envoy(pools, clusters="clusters-orca"))
        with servers[0].client() as client:
            pair = Material.of(client).pair
        for number in range(setting.scaled(3, 1)):
            requests = setting.scaled(160, 40)
            p99 = {}
            for policy, proxy in (("turns", turns), ("ORCA", orca)):
                _latencies(proxy.target, pair, requests // 4, number)
                before = _steps(servers)
                seconds = _latencies(proxy.target, pair, requests, number)
                shares = [after - was for after, was in zip(_steps(servers), before, strict=True)]
                p99[policy] = quantiles(seconds, n=100, method="inclusive")[98]
                fast = 100 * shares[0] / sum(shares)
                notes.append(
                    f"{policy} p50 {median(seconds):.1f} s, p99 {p99[policy]:.1f} s, {fast:.0f}% on the fast"
                )
            ratios.append(p99["turns"] / p99["ORCA"])
    load = f"load average {os.getloadavg()[0]:.1f}"
    yield Figure(name, at_least(1.5), ratios, "x", command, f"{'; '.join(notes)}; {load}")


def _server(setting: Setting, rows: int) -> ServerProcess:
    flags = ("--max-batch-rows", str(rows), "--target-queue-seconds", str(TARGET_SECONDS))
    return setting.ours(*flags, "--default-share", "1")


def _steps(servers: list[ServerProcess]) -> list[float]:
    return [server.metric("kandinsky_steps_total") for server in servers]


def _latencies(target: str, pair: EmbeddingPair, requests: int, order: int) -> list[float]:
    """Of ``CLIENTS`` clients that take the requests one by one; equal orders are equal requests."""
    draw, taking = random.Random(order), threading.Lock()
    waiting = iter([(seed, draw.choice(STEPS)) for seed in range(requests)])

    def ask_on(_: int) -> list[float]:
        seconds: list[float] = []
        with Kandinsky(target, retries=RETRIES) as client:
            while True:
                with taking:
                    request = next(waiting, None)
                if request is None:
                    return seconds
                seed, steps = request
                began = time.monotonic()
                client.decode(pair, seed=seed, step_count=steps, width_px=SIZE_PX, height_px=SIZE_PX)
                seconds.append(time.monotonic() - began)

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [each for those in pool.map(ask_on, range(CLIENTS)) for each in those]
