"""The part of loaded wall time that the engine's thread spends inside networks."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figure import Figure, at_least
from benchmarks.load import kept_busy, mixed
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

NETWORKS = "kandinsky_network_seconds_total"
STEPS = "kandinsky_engine_busy_seconds_total"


BARS = {8: 97.0, 1: 95.0}
"""By the number of clients."""


def measure(setting: Setting) -> Iterator[Figure]:
    """Windows of a load that never stops; against the wall's clock, and against the engine's own."""
    with setting.ours() as server:
        ask = mixed(server)
        for clients, bar in BARS.items():
            with kept_busy(server, ask, clients):
                time.sleep(setting.scaled(5.0, 2.0))
                windows = [window(server, setting.scaled(10.0, 3.0)) for _ in range(setting.scaled(5, 2))]
            inside_steps = ", ".join(f"{of_steps:.1f}" for _, of_steps in windows)
            yield Figure(
                f"device share, {setting.backend}, {clients} client{'s' * (clients > 1)}",
                at_least(bar),
                [of_wall for of_wall, _ in windows],
                "%",
                setting.command("device_share"),
                f"of the time inside steps alone: {inside_steps} %",
            )


def window(server: ServerProcess, seconds: float) -> tuple[float, float]:
    """Network time in percent of wall time and of step time."""
    before, began = server.metrics(), time.monotonic()
    time.sleep(seconds)
    after, ended = server.metrics(), time.monotonic()
    networks = after[NETWORKS] - before[NETWORKS]
    return 100 * networks / (ended - began), 100 * networks / (after[STEPS] - before[STEPS])
