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
    """Each round measures step times anew: the machine may not be what it was."""
    command = setting.command("capacity")
    if find_spec("simpy") is None:
        yield Figure("capacity model", None, [], "", command, "simpy is not installed: pip install simpy")
        return
    rounds = setting.scaled(3, 1)
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    notes: dict[tuple[str, str], list[str]] = defaultdict(list)
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
                    for name, (ours, real) in _compare(subject, measured, trace).items():
                        errors[name, pattern].append(100 * abs(ours / real - 1))
                        notes[name, pattern].append(f"{ours:.3g} for {real:.3g}")
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    for (name, pattern), samples in errors.items():
        title = f"capacity: {name} predicted, {pattern}, {setting.backend}"
        note = f"predicted for measured: {', '.join(notes[name, pattern])}; {load}"
        yield Figure(title, at_most(20), samples, "% off", command, note)


def _compare(subject: Subject, measured: Measured, trace: list[Arrival]) -> dict[str, tuple[float, float]]:
    """Of each figure: as simulated, and as the real server has it."""
    from benchmarks.capacity.simulation import simulate

    real = subject.serve(trace)
    ours = simulate(trace, measured.kinds, measured.table, max_rows=measured.max_rows)
    return {
        "p50": (ours.percentile(0.5), real.percentile(0.5)),
        "p99": (ours.percentile(0.99), real.percentile(0.99)),
        "images/s": (ours.images_per_second, real.images_per_second),
    }
