"""Images a second of eight clients, ours over naive."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figure import Figure, at_least
from benchmarks.setting import Setting
from benchmarks.versus import compare

BAR_EAGER = at_least(1.3)
BAR_FASTEST = at_least(2.5)


def measure(setting: Setting) -> Iterator[Figure]:
    """Both servers at once, one of them idle at any time."""
    with setting.ours() as ours, setting.naive() as naive:
        result = compare(setting, ours, naive)
    yield Figure(
        f"throughput over naive, {setting.backend}",
        BAR_EAGER if setting.backend == "eager" else BAR_FASTEST,
        result.ratios,
        "x",
        setting.command("throughput"),
        result.note,
    )
