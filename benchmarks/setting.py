"""What a run measures: the checkpoint, the backend, and how to start both servers alike."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from benchmarks.process import ServerProcess

T = TypeVar("T")

KANDINSKY = ("-c", "from kandinsky_client.cli import main; main()")
"""The command `kandinsky`, as arguments of Python: also where nothing is installed."""


@dataclass(frozen=True)
class Setting:
    """``threads`` is what either server's networks may use; ``quick`` makes every figure small and rough.

    ``device`` and ``dtype`` are those of either server. ``backends`` are for figures that compare several; none: each
    figure's own.
    """

    model: Path
    backend: str = "eager"
    threads: int = 1
    quick: bool = False
    soak_requests: int = 10_000
    device: str = "cpu"
    dtype: str = "fp32"
    backends: tuple[str, ...] = ()

    def scaled(self, full: T, quick: T) -> T:
        """One of two sizes."""
        return quick if self.quick else full

    def ours(
        self,
        *flags: str,
        backend: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        program: Sequence[str] = KANDINSKY,
        patience: float = threading.TIMEOUT_MAX,
        strict: bool = True,
    ) -> ServerProcess:
        """`kandinsky serve`, with ``flags`` added; for the rest see `ServerProcess`. ``program`` is what Python runs.

        Strict is SERVING with everything prepared, so that a figure of a backend is no figure of eager.
        """
        command = [sys.executable, *program, "serve", "--port", "0", "--metrics-port", "0", *self._common]
        command += ["--backend", backend or self.backend, *flags]
        command += ["--strict-backend"] if strict else []
        return ServerProcess(command, self._environment, credentials, patience=patience)

    def naive(self) -> ServerProcess:
        """The yardstick, on the same checkpoint."""
        return ServerProcess([sys.executable, "-m", "benchmarks.naive", *self._common], self._environment)

    def recorded(self, file: Path, max_rows: int) -> ServerProcess:
        """A server that writes down its network calls; see `capacity.recorded`."""
        command = [sys.executable, "-m", "benchmarks.capacity.recorded", str(file), *self._common]
        command += ["--backend", self.backend, "--max-batch-rows", str(max_rows)]
        return ServerProcess(command, self._environment)

    @property
    def _common(self) -> list[str]:
        options = {"model": self.model, "threads": self.threads, "device": self.device, "dtype": self.dtype}
        return [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def command(self, name: str) -> str:
        """What makes a figure again."""
        choice = f"--backend {self.backend} --threads {self.threads}"
        choice += "" if self.dtype == "fp32" else f" --dtype {self.dtype}"
        return f"python -m benchmarks {name} {choice}" + self.scaled("", " --quick")

    @property
    def _environment(self) -> dict[str, str]:
        return {"OMP_NUM_THREADS": str(self.threads), "GOMP_SPINCOUNT": "10000"}
