"""Draws the figures of docs/scaling.md: `python -m benchmarks.capacity.plots [--measured FILE] [--out DIR]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

from benchmarks.capacity.measured import KEPT, Measured
from benchmarks.capacity.plan import served

matplotlib.use("Agg")

SHARES = (0.3, 0.5, 0.7, 0.9, 1.1)
"""Of what a replica was measured to do."""

FLEETS = (1, 3, 10, 30, 100, 300, 1000)
PATTERNS = {"Poisson": False, "bursts": True}
SECONDS, LARGE_SECONDS = 60.0, 10.0


def main() -> None:
    """Writes two pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity.plots", description=__doc__)
    parser.add_argument("--measured", type=Path, default=KEPT, help=f"a measurement (default {KEPT})")
    parser.add_argument("--out", type=Path, default=Path("docs/scaling"), help="a directory")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    measured = Measured.read(given.measured)
    for name, draw in (("load", _load), ("replicas", _replicas)):
        _save(given.out / f"{name}.png", partial(draw, measured))


def _load(measured: Measured, axes: Any) -> None:
    """Latency against load, a fleet of ten."""
    most = 10 * measured.rate * measured.images_per_request
    for pattern, bursts in PATTERNS.items():
        fleets = [served(measured, share * most, 10, SECONDS, bursts) for share in SHARES]
        for percentile, style in ((0.5, "--"), (0.99, "-")):
            values = [fleet.percentile(percentile) for fleet in fleets]
            axes.plot(SHARES, values, style, label=f"{pattern}, p{100 * percentile:g}", marker=".")
    axes.set(xlabel="images/s over what 10 replicas do", ylabel="seconds", yscale="log")


def _replicas(measured: Measured, axes: Any) -> None:
    """Latency of fleets that have the same load each."""
    each = 0.8 * measured.rate * measured.images_per_request
    for pattern, bursts in PATTERNS.items():
        fleets = [served(measured, each * count, count, LARGE_SECONDS, bursts) for count in FLEETS]
        values = [fleet.percentile(0.99) for fleet in fleets]
        axes.plot(FLEETS, values, label=f"{pattern}, p99", marker=".")
    axes.set(xlabel="replicas, each at 80% of its load", ylabel="seconds", xscale="log")


def _save(path: Path, draw: Callable[[Any], None]) -> None:
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    draw(axes)
    axes.set_ylim(bottom=0 if axes.get_yscale() == "linear" else None)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
