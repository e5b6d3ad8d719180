"""What the server takes of the device, and what it says when there is too little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.decoding import Decoding
from benchmarks.figure import Figure, at_least
from benchmarks.gpu.batches import Batches
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.gpu.soak import reserved
from benchmarks.process import ServerFailed

CLIENTS = 32
LEFT = 4 * 2**30
"""Bytes of the device that are free when the server is to refuse: less than half of its weights."""


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """Under load; then starts where the weights do not fit."""
    server, command = stand.server(), plan.command("memory")
    start = reserved(server)
    for side in plan.sizes:
        batches = Batches(server)
        clients = plan.scaled(CLIENTS, 2)
        Decoding.on(server, 4, side).rate(server, clients, clients)
        yield Figure(
            f"largest batch, {side} px, {clients} clients", None, [batches.largest()], " rows", command
        )
    samples = [reserved(server) / 2**30] if plan.cuda else []
    note = f"{start / 2**30:.2f} GiB before" if plan.cuda else "torch counts CUDA memory only"
    yield Figure("reserved memory after load", None, samples, " GiB", command, note)
    yield _refusal(plan)


def _refusal(plan: Plan) -> Figure:
    """A start while this process holds almost all memory."""
    name, command = "too little memory: refused at the start, the way out named", plan.command("memory")
    if not plan.cuda:
        return Figure(name, at_least(1), [], "", command, "a CPU has memory to spare")
    setting = replace(plan.setting(), backend="eager")
    held = torch.empty(torch.cuda.mem_get_info()[0] - LEFT, dtype=torch.uint8, device=plan.device)
    began = time.monotonic()
    try:
        with setting.ours(patience=100):
            found, words = 0, "it serves"
    except ServerFailed as error:
        words = str(error).strip().splitlines()[-1]
        found = int("--offload" in words)
    finally:
        del held
        torch.cuda.empty_cache()
    return Figure(name, at_least(1), [found], "", command, f"after {time.monotonic() - began:.0f} s: {words}")
