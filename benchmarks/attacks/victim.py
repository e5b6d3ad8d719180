"""The server that is attacked: `kandinsky serve` with nothing but a prior, in a process that may die."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import grpc

from benchmarks.process import ServerProcess

SMALL = ("--port=0", "--metrics-port=0", "--device=cpu", "--backend=eager", "--threads=1", "--model=null")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "10000"}


def toy_prior() -> Path:
    """The stage that comes with the server."""
    return Path(str(files("kandinsky_toy"))) / "prior"


def victim(
    prior: Path,
    *flags: str,
    credentials: grpc.ChannelCredentials | None = None,
    unread_log: bool = False,
    first: str = "",
) -> ServerProcess:
    """The server on ``prior``; ``first`` is Python that its process runs before anything else."""
    start = f"{first}\nfrom kandinsky_client.cli import main\nmain()"
    command = [sys.executable, "-c", start, "serve", *SMALL, f"--prior={prior}", *flags]
    return ServerProcess(command, ENVIRONMENT, credentials, unread_log)
