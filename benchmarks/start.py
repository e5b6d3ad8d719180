"""`kandinsky serve` to SERVING."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figure import Figure, at_most
from benchmarks.setting import Setting


def measure(setting: Setting) -> Iterator[Figure]:
    """From the new process to gRPC health's word; one start before puts packages and weights into the page cache."""
    samples = []
    for _ in range(setting.scaled(4, 2)):
        with setting.ours() as server:
            samples.append(server.start_seconds)
    yield Figure(
        f"start to SERVING, {setting.backend}", at_most(10), samples[1:], " s", setting.command("start")
    )
