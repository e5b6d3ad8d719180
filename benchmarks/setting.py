"""What a run measures: the checkpoint, the backend, and how to start both servers alike."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from benchmarks.process import ServerProcess

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """``threads`` is what either server's networks may use; ``quick`` makes every figure small and rough."""

    model: Path
    backend: str = "eager"
    threads: int = 1
    quick: bool = False
    soak_requests: int = 10_000

    def scaled(self, full: T, quick: T) -> T:
        """One of two sizes."""
        return quick if self.quick else full

    def ours(
        self,
        *flags: str,
        backend: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> ServerProcess:
        """`kandinsky serve`, with ``flags`` added; ``credentials`` are those of a TLS client."""
        command = [
            str(Path(sys.executable).with_name("kandinsky")),
            "serve",
            "--port",
            "0",
            "--metrics-port",
            "0",
        ]
        command += ["--model", str(self.model), "--threads", str(self.threads)]
        command += ["--backend", backend or self.backend, *flags]
        return ServerProcess(command, self._environment, credentials)

    def naive(self) -> ServerProcess:
        """The yardstick, on the same checkpoint."""
        command = [sys.executable, "-m", "benchmarks.naive"]
        command += ["--model", str(self.model), "--threads", str(self.threads)]
        return ServerProcess(command, self._environment)

    def command(self, name: str) -> str:
        """What makes a figure again."""
        choice = f"--backend {self.backend} --threads {self.threads}"
        return f"python -m benchmarks {name} {choice}" + self.scaled("", " --quick")

    @property
    def _environment(self) -> dict[str, str]:
        return {"OMP_NUM_THREADS": str(self.threads), "GOMP_SPINCOUNT": "10000"}
