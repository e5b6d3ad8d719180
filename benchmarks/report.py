"""Figures as a table for people and as JSON for everything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Bar, Figure

COLOURS = {"pass": "green", "fail": "red", "told": "default", "skipped": "yellow"}


def summary(figure: Figure) -> str:
    """One line, for while the rest is being measured."""
    numbers = f"{_measured(figure)}, {_spread(figure)}" if figure.samples else figure.note
    return f"{figure.name}: {figure.verdict}, {numbers}"


def print_table(figures: Sequence[Figure], console: Console) -> None:
    """One row a figure; its note and its command go below the table."""
    table = Table("figure", "bar", "measured", "min ... max", "", title="Benchmarks")
    for figure in figures:
        verdict = f"[{COLOURS[figure.verdict]}]{figure.verdict}"
        table.add_row(figure.name, _bar(figure.bar, figure.unit), _measured(figure), _spread(figure), verdict)
    console.print(table)
    for figure in figures:
        console.print(f"{figure.name}: {figure.command}", style="dim", highlight=False, markup=False)
        if figure.note:
            console.print(f"    {figure.note}", style="dim", highlight=False, markup=False)


def write_json(path: Path, figures: Sequence[Figure], facts: dict[str, Any]) -> None:
    """Everything that was measured, with the machine and the settings it was measured with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {**asdict(figure), "measured": figure.measured, "verdict": figure.verdict} for figure in figures
    ]
    path.write_text(json.dumps({**facts, "figures": entries}, indent=2) + "\n")


def _bar(bar: Bar | None, unit: str) -> str:
    return "" if bar is None else f"{'≥' if bar.at_least else '≤'} {bar.limit:g}{unit}"


def _measured(figure: Figure) -> str:
    return "" if figure.measured is None else f"{figure.measured:.3g}{figure.unit}"


def _spread(figure: Figure) -> str:
    if not figure.samples:
        return ""
    return f"{min(figure.samples):.3g} ... {max(figure.samples):.3g} ({len(figure.samples)})"
