"""Minutes of mixed load: every answer comes, and reserved memory stays."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figure import Figure, at_most
from benchmarks.gpu.mix import Mix
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.load import kept_busy
from benchmarks.process import ServerProcess

CLIENTS = 16
LOOKS = 20
SETTLED = 5
"""Looks after which memory should grow no more: every size and most numbers of rows have come by."""


def reserved(server: ServerProcess) -> float:
    """Bytes that torch has taken of the device."""
    return server.metric("kandinsky_device_memory_bytes", kind="reserved")


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """Growth is from the fifth look on, a quarter of the time, to the highest."""
    server = stand.server()
    mix, sizes = Mix(plan, server), list[float]()
    with kept_busy(server, mix.ask, plan.scaled(CLIENTS, 2)):
        for _ in range(LOOKS):
            time.sleep(plan.soak_seconds / LOOKS)
            sizes.append((reserved(server) if plan.cuda else server.resident_bytes()) / 2**20)
    ends = ", ".join(f"{count} {end}" for end, count in mix.ends.items())
    command, lost = plan.command("soak"), "; ".join([ends, *mix.lost[:5]])
    yield Figure("soak: lost answers", at_most(0), [len(mix.lost)], "", command, lost)
    settled = sizes[SETTLED - 1]
    growth = 100 * (max(sizes[SETTLED - 1 :]) / settled - 1)
    what = "reserved" if plan.cuda else "resident, on a CPU,"
    note = f"{what} MiB: {', '.join(f'{size:.0f}' for size in sizes)}"
    yield Figure("soak: growth of reserved memory", at_most(5), [growth], "%", command, note)
