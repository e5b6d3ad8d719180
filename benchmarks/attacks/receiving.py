"""Messages that are begun and never finished, from strangers and from clients."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from benchmarks.attacks.attack import Attack, Verdict
from benchmarks.attacks.unfinished import FRAME_BYTES, Unfinished, push_for
from benchmarks.attacks.vigil import Vigil
from benchmarks.setting import Setting

MESSAGE_BYTES = 32 * 2**20 - 1
MOST_MIB = 1024
"""The budget of 512 MiB, and as much again for what gRPC adds to it and has freed and not given back."""

PATHS = {
    "health's Check": "/grpc.health.v1.Health/Check",
    "health's Watch": "/grpc.health.v1.Health/Watch",
    "Prior": "/kandinsky_api.v1.PriorService/Prior",
}


def _attack(name: str, connections: int, calls: int, at_once: int, before: str) -> Attack:
    def run() -> Verdict:
        with ExitStack() as stack:
            server = stack.enter_context(Setting(Path("toy")).ours())
            vigil = stack.enter_context(Vigil(server.target, server.pid))
            with ExitStack() as opened:
                senders = [
                    opened.enter_context(
                        Unfinished(server.target, PATHS[name], calls, MESSAGE_BYTES, again=True)
                    )
                    for _ in range(connections)
                ]
                sent = push_for(senders, seconds=60, most_bytes=5 * 2**30, at_once=at_once)
        return Verdict(
            vigil.growth_mib < MOST_MIB and not vigil.failures,
            f"{sent >> 20} MiB sent, +{vigil.growth_mib:.0f} MiB at most; health within {vigil.health_seconds:.1f} s, a "
            f"Prior within {vigil.prior_seconds:.1f} s",
        )

    speed = "as fast as they go" if at_once == FRAME_BYTES else "byte by byte"
    title = f"unfinished messages to {name}, {speed}"
    return Attack(title, f"{connections} connections x {calls} calls, a minute", before, run)


ATTACKS = (
    _attack("health's Check", 40, 8, FRAME_BYTES, "+5 GiB"),
    _attack("health's Watch", 40, 8, FRAME_BYTES, "+5 GiB"),
    _attack("Prior", 40, 8, FRAME_BYTES, "+5 GiB"),
    _attack("health's Check", 40, 8, 1, "held for ever"),
    _attack("Prior", 40, 8, 1, "held for ever"),
)
