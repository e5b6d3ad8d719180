import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.figure import Bar, Figure, at_least, at_most
from benchmarks.machine import facts
from benchmarks.report import print_table, write_json

FIGURES = [
    Figure("fast", at_least(2.5), [2.0, 3.0, 4.0], "x", "python -m benchmarks fast", "a note"),
    Figure("slow", at_most(5), [7.0], " ms", "python -m benchmarks slow"),
    Figure("cold", None, [1.5], " s", "python -m benchmarks cold"),
    Figure("absent", at_least(1), [], "x", "python -m benchmarks absent", "no such backend"),
]


def test_the_median_is_held_to_the_bar() -> None:
    assert [(figure.measured, figure.verdict) for figure in FIGURES] == [
        (3.0, "pass"),
        (7.0, "fail"),
        (1.5, "told"),
        (None, "skipped"),
    ]


@pytest.mark.parametrize("bar", [at_least(2), at_most(2)])
def test_a_bar_that_is_just_reached_holds(bar: Bar) -> None:
    assert bar.holds(2)


def test_the_table_tells_every_figure() -> None:
    written = io.StringIO()
    print_table(FIGURES, Console(file=written, width=120))
    row = next(line for line in written.getvalue().splitlines() if "fast" in line)
    assert all(part in row for part in ("≥ 2.5x", "3x", "2 ... 4 (3)", "pass"))
    assert "no such backend" in written.getvalue()


def test_json_holds_figures_and_machine(tmp_path: Path) -> None:
    path = tmp_path / "results" / "run.json"
    write_json(path, FIGURES, {"machine": facts()})
    written = json.loads(path.read_text())
    assert written["machine"]["versions"]["torch"]
    assert written["figures"][0] == {
        "name": "fast",
        "bar": {"limit": 2.5, "at_least": True},
        "samples": [2.0, 3.0, 4.0],
        "unit": "x",
        "command": "python -m benchmarks fast",
        "note": "a note",
        "measured": 3.0,
        "verdict": "pass",
    }
