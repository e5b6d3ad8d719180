"""`kandinsky serve` to SERVING at full size, with nothing kept from an earlier start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.figure import Figure
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.start import cold

BACKENDS = ("eager", "graphs", "compiled")
LIMIT_SECONDS = 60.0


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """The weights are in the page cache: they were written a moment ago."""
    stand.close()
    setting = plan.setting()
    for backend in BACKENDS:
        figure = cold(setting, backend, 1, LIMIT_SECONDS, patience=plan.scaled(110.0, 20.0))
        yield replace(figure, command=plan.command("start"))
