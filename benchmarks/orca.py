"""Envoy choosing by load reports (ORCA) against turns, before replicas of unequal speed: the slowest requests.

Both are the same Envoy files but for the policy, before the same servers, round by round.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Any

from kandinsky_client import EmbeddingPair, Kandinsky

from benchmarks.capacity.workload import Arrival, arrivals, play
from benchmarks.figure import Figure, at_least
from benchmarks.fleet import envoy
from benchmarks.fleet.crowd import RETRIES, SIZE_PX
from benchmarks.fleet.envoy import Envoy
from benchmarks.fleet.throttle import throttled
from benchmarks.load import Material
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

STEPS = (10, 10, 10, 10, 100)
"""One of five requests is long."""

SLOW = 0.25
"""The share of its time that the second replica gets: a machine of another generation."""

TARGET_SECONDS = 1.0
"""Of queued work at which a report says that the server is fully used."""

CLIENTS = 8
"""Who ask one request after the other, to find how many the two can serve."""

UTILIZATION = 0.7
"""Requests come at random, at this share of that: who waits for a slow answer asks less, and hides what is slow."""

ROUND_ROBIN: dict[str, Any] = {
    "name": "envoy.load_balancing_policies.round_robin",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin"
    },
}


def measure(setting: Setting) -> Iterator[Figure]:
    """Rounds A B A B, each pair of the same arrivals; finding their rate lets the reports come in."""
    name, command = f"p99, turns over ORCA, {setting.backend}", setting.command("orca")
    if not envoy.installed():
        yield Figure(name, at_least(1.5), [], "x", command, envoy.MISSING)
        return
    ratios, notes = [], []
    with ExitStack() as stack:
        servers = [stack.enter_context(_server(setting)) for _ in range(2)]
        stack.enter_context(throttled(servers[1], SLOW))
        pools = {"kandinsky": [server.target for server in servers]}
        turns = stack.enter_context(Envoy(pools, clusters="clusters-orca", policy=ROUND_ROBIN))
        orca = stack.enter_context(Envoy(pools, clusters="clusters-orca"))
        with servers[0].client() as client:
            pair = Material.of(client).pair
        for number in range(setting.scaled(3, 1)):
            rate = UTILIZATION * _capacity(orca.target, pair, setting.scaled(80, 20))
            seconds, chance = setting.scaled(40.0, 10.0), random.Random(number)
            trace = arrivals(rate, seconds, len(STEPS), bursts=False, chance=chance)
            p99 = {}
            for policy, proxy in (("turns", turns), ("ORCA", orca)):
                before = _steps(servers)
                latencies = _latencies(proxy.target, pair, trace)
                shares = [after - was for after, was in zip(_steps(servers), before, strict=True)]
                p99[policy] = quantiles(latencies, n=100, method="inclusive")[98]
                fast = 100 * shares[0] / sum(shares)
                notes.append(
                    f"{policy} p50 {median(latencies):.1f} s, p99 {p99[policy]:.1f} s, {fast:.0f}% on the fast"
                )
            notes.append(f"{rate:.1f} requests/s")
            ratios.append(p99["turns"] / p99["ORCA"])
    load = f"load average {os.getloadavg()[0]:.1f}"
    yield Figure(name, at_least(1.5), ratios, "x", command, f"{'; '.join(notes)}; {load}")


def _server(setting: Setting) -> ServerProcess:
    return setting.ours("--target-queue-seconds", str(TARGET_SECONDS), "--default-share", "1")


def _steps(servers: list[ServerProcess]) -> list[float]:
    return [server.metric("kandinsky_steps_total") for server in servers]


def _decode(client: Kandinsky, pair: EmbeddingPair, seed: int, kind: int) -> None:
    client.decode(pair, seed=seed, step_count=STEPS[kind], width_px=SIZE_PX, height_px=SIZE_PX)


def _capacity(target: str, pair: EmbeddingPair, requests: int) -> float:
    """Requests a second that ``CLIENTS`` clients without pauses are served."""
    with Kandinsky(target, retries=RETRIES) as client, ThreadPoolExecutor(CLIENTS) as pool:
        began = time.monotonic()
        for done in [pool.submit(_decode, client, pair, seed, seed % len(STEPS)) for seed in range(requests)]:
            done.result()
        return requests / (time.monotonic() - began)


def _latencies(target: str, pair: EmbeddingPair, trace: Sequence[Arrival]) -> list[float]:
    """Of requests that come when the ``trace`` says so, in seconds from then."""
    with Kandinsky(target, retries=RETRIES) as client:
        played = play(trace, lambda seed, arrival: _decode(client, pair, seed, arrival.kind))
    return [latency for latency, _ in played]
