"""How long a server's event loop lets anybody wait: a health check every few milliseconds, from a process of its own.

`python -m benchmarks.probe HOST:PORT SECONDS` prints the longest answer in milliseconds, and how many there were.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

EVERY_SECONDS = 0.005
WARM_CHECKS = 50


@dataclass(frozen=True)
class Stalls:
    """Milliseconds; ``usual`` is the median."""

    longest: float
    usual: float
    checks: int


def stalls(target: str, seconds: float) -> Stalls:
    """Probes for so long, and meanwhile waits."""
    command = [sys.executable, "-m", "benchmarks.probe", target, str(seconds)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    longest, usual, checks = ended.stdout.split()
    return Stalls(float(longest), float(usual), int(checks))


def main(target: str, seconds: str) -> None:
    """The probe."""
    with grpc.insecure_channel(target) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
        request = health_pb2.HealthCheckRequest()
        for _ in range(WARM_CHECKS):
            check(request)
        waits, end = [], time.monotonic() + float(seconds)
        while time.monotonic() < end:
            began = time.perf_counter()
            check(request)
            waits.append(1000 * (time.perf_counter() - began))
            time.sleep(EVERY_SECONDS)
    waits.sort()
    print(waits[-1], waits[len(waits) // 2], len(waits))


if __name__ == "__main__":
    main(*sys.argv[1:])
