"""Two servers under the same load, in turns, so that a noisy machine is unfair to neither."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.load import images_per_second, jobs
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting


@dataclass(frozen=True)
class Comparison:
    """Images a second of both servers, round by round."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, of each round."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def note(self) -> str:
        """Both sides in absolute numbers."""
        return f"images/s: {_span(self.ours)} against {_span(self.theirs)}"


def compare(setting: Setting, ours: ServerProcess, theirs: ServerProcess) -> Comparison:
    """Rounds A B A B; both sides of a round answer the same requests, after a short warm-up."""
    comparison = Comparison([], [])
    for server in (ours, theirs):
        images_per_second(server, jobs(8))
    for _ in range(setting.scaled(3, 2)):
        work = jobs(setting.scaled(48, 16))
        comparison.ours.append(images_per_second(ours, work))
        comparison.theirs.append(images_per_second(theirs, work))
    return comparison


def _span(rates: list[float]) -> str:
    return f"{min(rates):.2f} to {max(rates):.2f}"
