"""How long the server's event loop stands still while it is busy."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figure import Figure, at_most
from benchmarks.gpu.mix import Mix
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.load import kept_busy
from benchmarks.probe import stalls

CLIENTS = 16


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """Every RPC and size at once: texts, pictures and embeddings come in while pixels go out."""
    server = stand.server()
    mix = Mix(plan, server)
    with kept_busy(server, mix.ask, plan.scaled(CLIENTS, 2)):
        time.sleep(plan.scaled(5.0, 0.5))
        found = stalls(server.target, plan.scaled(20.0, 2.0))
    note = f"of {found.checks} health checks; median {found.usual:.2f} ms; {dict(mix.ends)}"
    yield Figure(
        "longest stall of the event loop", at_most(20), [found.longest], " ms", plan.command("stall"), note
    )
