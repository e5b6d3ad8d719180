"""Images a second of many clients that ask alike, over the naive server on the same card in the same run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.decoding import Decoding
from benchmarks.figure import Figure, at_least
from benchmarks.gpu.plan import Plan, Stand

BARS = {512: 2.5, 768: 1.3, 1024: 1.0}
"""By size, for ``CLIENTS`` clients: from 8 rows of 512, 4 of 768, 2 of 1024 the card is busy, and batching gains less."""

CLIENTS = 16
LEAST = 24
"""Images of one measurement."""

WARM_STEPS = 16
"""So many that shapes which the server did not foresee are recorded before it counts."""


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """The naive server answers one after the other, so that its rate needs no crowd."""
    ours = stand.server()
    with plan.setting().naive() as naive:
        for side in plan.sizes:
            decoding = Decoding.on(ours, plan.steps, side)
            short = replace(decoding, step_count=plan.scaled(WARM_STEPS, 2))
            short.rate(naive, 1, 1)
            theirs = decoding.rate(naive, plan.scaled(4, 1), 2)
            for clients in plan.clients:
                short.rate(ours, clients, clients)
                rate = decoding.rate(ours, max(clients, plan.scaled(LEAST, 2)), clients)
                bar = at_least(BARS[side]) if clients == CLIENTS and side in BARS else None
                yield Figure(
                    f"images/s over naive, {side} px, {clients} clients",
                    bar,
                    [rate / theirs],
                    "x",
                    plan.command("load"),
                    f"{rate:.2f} against {theirs:.2f} images/s, both {plan.dtype}, {plan.steps} steps an image",
                )
