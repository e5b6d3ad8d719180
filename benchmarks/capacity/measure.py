"""The model against the real server: the same arrivals, simulated and served."""

from __future__ import annotations

import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.capacity.measured import KEPT, KINDS, Measured, Subject
from benchmarks.capacity.workload import Arrival, arrivals
from benchmarks.figure import Figure, at_most
from benchmarks.machine import facts
from benchmarks.setting import Setting

MAX_ROWS = 8
UTILIZATION = 0.7
"""Requests come at this share of the rate that eight clients were served at."""

PATTERNS = {"Poisson": False, "bursts": True}


def measure(setting: Setting) -> Iterator[Figure]:
    """Each round measures step times anew, before the load; and once more while it lasts.

    Steps measured before are what a plan has to go on: what the machine does otherwise later is in their error. Steps
    measured meanwhile leave the error of the model alone.
    """
    command = setting.command("capacity")
    if find_spec("simpy") is None:
        yield Figure("capacity model", None, [], "", command, "simpy is not installed: pip install simpy")
        return
    rounds = setting.scaled(3, 1)
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.jsonl"
        with setting.recorded(file, MAX_ROWS) as server:
            subject = Subject(server, file, MAX_ROWS)
            for number in range(rounds):
                measured = subject.measure(setting.scaled(2 * KINDS, KINDS))
                measured.write(KEPT, facts())
                for pattern, bursts in PATTERNS.items():
                    rate, chance = UTILIZATION * measured.rate, random.Random(number)
                    trace = arrivals(rate, setting.scaled(60.0, 20.0), KINDS, bursts, chance)
                    for name, (before, same, real) in _compare(subject, measured, trace).items():
                        for known, ours in (("before", before), ("meanwhile", same)):
                            found[name, pattern, known].append((ours, real))
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    for (name, pattern, known), pairs in found.items():
        title = f"capacity: {name} predicted on steps measured {known}, {pattern}, {setting.backend}"
        samples = [100 * abs(ours / real - 1) for ours, real in pairs]
        said = ", ".join(f"{ours:.3g} for {real:.3g}" for ours, real in pairs)
        yield Figure(title, at_most(20), samples, "% off", command, f"{said}; {load}")


def _compare(subject: Subject, measured: Measured, trace: list[Arrival]) -> dict[str, tuple[float, ...]]:
    """Of each figure: as simulated, as simulated on the step times of the very run, and as the real server has it.

    The second tells what the model has wrong from what the machine did meanwhile.
    """
    from benchmarks.capacity.simulation import simulate

    real, table = subject.serve(trace)
    ours, known = (
        simulate(trace, measured.kinds, steps, max_rows=measured.max_rows)
        for steps in (measured.table, table)
    )
    three = (ours, known, real)
    p50, p99 = (tuple(each.percentile(share) for each in three) for share in (0.5, 0.99))
    return {"p50": p50, "p99": p99, "images/s": tuple(each.images_per_second for each in three)}
