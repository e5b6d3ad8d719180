"""A 10-step request behind two of 100 steps, over the same alone."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figure import Figure, at_most
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.queue_jump import behind_over_alone


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """At the model's own size."""
    ratios = behind_over_alone(stand.server(), plan.scaled(5, 1))
    yield Figure("10 steps behind 2 x 100, over alone", at_most(3), ratios, "x", plan.command("jump"))
