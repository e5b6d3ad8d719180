"""A server process whose device can be made to hang or to be lost, and what its health watchers see."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from tests.support.patience import eventually
from tests.support.process import TINY, Process
from tests.support.raw import Raw

NAMES = ("", "kandinsky_api.v1.ServerService", "kandinsky_api.v1.ImageService", "decoder")
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HangingProcess(Process):
    """`kandinsky serve` whose ``network`` hangs from the moment of `hang` on."""

    def __init__(self, model: Path, trigger: Path, network: str, how: str, *flags: str) -> None:
        super().__init__(model, *flags)
        self._trigger = trigger
        module = [sys.executable, "-m", "benchmarks.attacks.hanging", str(trigger), network, how]
        self._command = [*module, *TINY, f"--model={model}", *flags]

    def hang(self) -> None:
        self._trigger.touch()

    def stuck(self) -> list[dict[str, Any]]:
        """What the log says of hangs."""
        lines = [json.loads(line) for line in self.errors if line.startswith("{")]
        return [line for line in lines if "hangs" in line["event"]]


@contextmanager
def watched(raw: Raw) -> Iterator[dict[str, list[int]]]:
    """By service, the statuses that a watcher sees."""
    seen: dict[str, list[int]] = {name: [] for name in NAMES}

    def follow(name: str) -> None:
        try:
            for response in raw.health.Watch(health_pb2.HealthCheckRequest(service=name)):
                seen[name].append(response.status)
        except grpc.RpcError:
            return

    with ThreadPoolExecutor(len(NAMES)) as threads:
        for name in NAMES:
            threads.submit(follow, name)
        eventually(lambda: all(seen.values()))
        yield seen
