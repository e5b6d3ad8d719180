"""What a server is like for others while it is attacked: its memory, and how long an honest caller waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kandinsky_api.v1 import prior_pb2, prior_pb2_grpc
from kandinsky_api.v1 import types_pb2 as pb

LIMIT_SECONDS = 60.0
PAUSE_SECONDS = 0.02


class Vigil:
    """A context manager. Asks for health, and for one small Prior again and again, each on a connection of its own."""

    def __init__(self, target: str, pid: int, token: str | None = None) -> None:
        self._target = target
        self._process = psutil.Process(pid)
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._memory, self._health, self._prior)]
        self.resident_before = self.resident_bytes()
        self.resident_peak = self.resident_before
        self.health_seconds = 0.0
        self.prior_seconds = 0.0
        self.calls = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def resident_bytes(self) -> int:
        """The server's memory now."""
        return int(self._process.memory_info().rss)

    @property
    def growth_mib(self) -> float:
        """What its memory grew by at most, in MiB."""
        return (self.resident_peak - self.resident_before) / 2**20

    def _memory(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            self.resident_peak = max(self.resident_peak, self.resident_bytes())

    def _health(self) -> None:
        def check(channel: grpc.Channel) -> None:
            call = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
            call(health_pb2.HealthCheckRequest(), timeout=LIMIT_SECONDS)

        while not self._over.wait(PAUSE_SECONDS):
            self.health_seconds = max(self.health_seconds, self._timed(check))

    def _prior(self) -> None:
        request = prior_pb2.PriorRequest(prompts=["a vigil"], sampling=pb.PriorSampling(seed=1, step_count=2))

        def prior(channel: grpc.Channel) -> None:
            stub = prior_pb2_grpc.PriorServiceStub(channel)
            list(stub.Prior(request, timeout=LIMIT_SECONDS, metadata=tuple(self._metadata)))

        while not self._over.wait(PAUSE_SECONDS):
            self.prior_seconds = max(self.prior_seconds, self._timed(prior))

    def _timed(self, call: Callable[[grpc.Channel], None]) -> float:
        began = time.monotonic()
        try:
            with grpc.insecure_channel(self._target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                call(channel)
        except grpc.RpcError as error:
            self.failures.append(f"{error.code()}: {error.details()}")
        self.calls += 1
        return time.monotonic() - began
