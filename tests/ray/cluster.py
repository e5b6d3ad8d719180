"""A Ray cluster of this machine alone that serves `deploy/ray/serve.yaml`, as `serve run` starts it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import yaml
from kandinsky_api.v1 import server_pb2
from kandinsky_client import Kandinsky

from tests.support.raw import connected

CONFIG = Path(__file__).parents[2] / "deploy" / "ray" / "serve.yaml"
TARGET = "127.0.0.1:50051"
REPLICAS = 2
START_SECONDS = 240


def config(**args: Any) -> Any:
    """What `deploy/ray/serve.yaml` says, with these settings."""
    read = yaml.safe_load(CONFIG.read_text())
    read["applications"][0]["args"] |= args
    return read


class Cluster:
    """Use as a context manager, in a network of its own: Ray's ports are open to everyone."""

    def __init__(self, configuration: Any) -> None:
        # A short name: sockets are in it.
        self.directory = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        self._config = self.directory / "serve.yaml"
        self._config.write_text(yaml.safe_dump(configuration))
        self._log = self.directory / "serve.log"

    def __enter__(self) -> Self:
        environment = {
            **os.environ,
            "RAY_TMPDIR": str(self.directory),
            "RAY_USAGE_STATS_ENABLED": "0",
            # It would make one and keep it at home.
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        command = [str(Path(sys.executable).with_name("serve")), "run", str(self._config)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            for pid in self._pids(""):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.directory, ignore_errors=True)

    def _wait(self) -> None:
        limit, found = time.monotonic() + START_SECONDS, set[str]()
        with connected(TARGET) as raw:
            while len(found) < REPLICAS:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < limit, self.log()
                answer = raw.call("GetServerInfo", server_pb2.GetServerInfoRequest(), timeout=5)
                found |= {response.instance_id for response in answer.events}
                time.sleep(0.1)

    def log(self) -> str:
        """What `serve run` has printed."""
        return self._log.read_text(errors="replace")

    def lines(self) -> str:
        """What all replicas have logged."""
        return "\n".join(file.read_text(errors="replace") for file in self.directory.rglob("worker-*.err"))

    def replicas(self) -> list[int]:
        """The process ids of the replicas."""
        return self._pids("ray::ServeReplica")

    def _pids(self, title: str) -> list[int]:
        """The processes of this cluster whose title begins so."""
        mark = str(self.directory).encode()
        found = []
        for process in Path("/proc").iterdir():
            if not process.name.isdigit() or int(process.name) == os.getpid():
                continue
            try:
                environment = (process / "environ").read_bytes()
                command = (process / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if mark in environment and command.startswith(title):
                found.append(int(process.name))
        return found

    def client(self, **options: Any) -> Kandinsky:
        """A client of Serve's gRPC proxy."""
        return Kandinsky(TARGET, **options)
