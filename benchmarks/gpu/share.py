"""The part of busy wall time that the engine spends inside networks."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.decoding import Decoding
from benchmarks.device_share import window
from benchmarks.figure import Figure, at_least
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.load import kept_busy

CASES = ((8, 0, 95.0), (8, 1, 95.0), (1, 0, 90.0))
"""Clients, which of the plan's sizes, and the least share in percent."""

WINDOWS = 3


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """Windows of a load that never stops."""
    server = stand.server()
    for clients, place, bar in CASES:
        side = plan.sizes[min(place, len(plan.sizes) - 1)]
        decoding = Decoding.on(server, plan.steps, side)
        with kept_busy(server, decoding.ask, clients):
            time.sleep(plan.scaled(4.0, 0.5))
            windows = [window(server, plan.scaled(5.0, 1.0)) for _ in range(WINDOWS)]
        inside = ", ".join(f"{of_steps:.1f}" for _, of_steps in windows)
        yield Figure(
            f"share inside networks, {side} px, {clients} client{'s' * (clients > 1)}",
            at_least(bar),
            [of_wall for of_wall, _ in windows],
            "%",
            plan.command("share"),
            f"of the time inside steps alone: {inside} %",
        )
