"""Real out of memory: does anybody lose an answer, and does the server use its memory again afterwards?"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import grpc
from kandinsky_client import Kandinsky, KandinskyError

from benchmarks.decoding import Decoding
from benchmarks.figure import Figure, at_most
from benchmarks.gpu.batches import Batches
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.load import shared_out
from benchmarks.process import ServerProcess

PROGRAM = ("-m", "benchmarks.gpu.trouble")
CLIENTS = 16
QUIET_SECONDS = 150.0
"""For caps to rise again, step by step."""

STEPS = 6


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """Memory is taken from a server while it serves, and given back: of eager networks, then of recorded ones."""
    stand.close()
    yield from _squeezed(plan, "eager")
    if plan.cuda:
        yield from _squeezed(plan, "graphs")
        return
    for name in ("answers lost", "rows capped for good"):
        title = f"out of memory, graphs: {name}"
        yield Figure(title, at_most(0), [], "", plan.command("oom"), "CUDA graphs are for CUDA only")


def _squeezed(plan: Plan, backend: str) -> Iterator[Figure]:
    """Graphs have their memory already: those are squeezed by pictures of a size that is not recorded."""
    clients, command = plan.scaled(CLIENTS, 4), plan.command("oom")
    with plan.setting().ours(backend=backend, program=PROGRAM) as server:
        decoding = Decoding.on(server, STEPS)
        pressing = replace(decoding, side=plan.sizes[-1] if backend == "graphs" else None)
        usual = _batch(server, decoding, clients)
        server.send(signal.SIGUSR1)
        time.sleep(0.5)
        before = server.metric("kandinsky_out_of_memory_total")
        lost = [why for why in shared_out(server, range(2 * clients), _asking(pressing), clients) if why]
        times = server.metric("kandinsky_out_of_memory_total") - before
        note = f"of {2 * clients}; {times:.0f} batches did not fit; {'; '.join(lost[:2])}"
        if not times and not lost:
            note = f"no batch was too large: {note}"
        yield Figure(
            f"out of memory, {backend}: answers lost",
            at_most(0),
            [len(lost)] if times or lost else [],
            "",
            command,
            note,
        )
        server.send(signal.SIGUSR2)
        began, quiet = time.monotonic(), plan.scaled(QUIET_SECONDS, 10.0)
        rows = _batch(server, decoding, clients)
        while rows < usual and time.monotonic() - began < quiet:
            time.sleep(5.0)
            rows = _batch(server, decoding, clients)
        after = f"{time.monotonic() - began:.0f} s after there was memory again"
        note = f"{usual} rows before, {rows} {after}"
        yield Figure(
            f"out of memory, {backend}: rows capped for good",
            at_most(0),
            [max(0, usual - rows)],
            "",
            command,
            note,
        )


def _batch(server: ServerProcess, decoding: Decoding, clients: int) -> int:
    """The largest batch of a short load."""
    batches = Batches(server)
    decoding.rate(server, clients, clients)
    return batches.largest()


def _asking(decoding: Decoding) -> Callable[[Kandinsky, int], str]:
    def ask(client: Kandinsky, number: int) -> str:
        try:
            decoding.ask(client)
        except (KandinskyError, grpc.RpcError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    return ask
