"""Servers that are killed, drained and started again, each on a port that stays its own."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self

from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

LOG_SECONDS = 2.0
"""How long a server's last lines may take."""


class Replicas:
    """A context manager. ``flags`` are `kandinsky serve`'s, the same for all."""

    def __init__(self, setting: Setting, count: int, *flags: str) -> None:
        self._setting = setting
        self._flags = ("--log-format", "json", *flags)
        self._ports = free_ports(count)
        self._servers: list[ServerProcess] = []
        self._ended_logs: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._end)
            with ThreadPoolExecutor(len(self._ports)) as pool:
                self._servers = list(pool.map(self._start, self._ports))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def targets(self) -> list[str]:
        """Addresses, in order."""
        return [f"127.0.0.1:{port}" for port in self._ports]

    def __len__(self) -> int:
        return len(self._ports)

    def __getitem__(self, number: int) -> ServerProcess:
        return self._servers[number]

    def __iter__(self) -> Iterator[ServerProcess]:
        return iter(self._servers)

    def kill(self, number: int) -> None:
        """With SIGKILL."""
        self._servers[number].send(signal.SIGKILL)
        self._servers[number].wait(LOG_SECONDS)
        self._bury(number)

    def drain(self, number: int) -> float:
        """With SIGTERM; returns the seconds until the process has ended."""
        server, began = self._servers[number], time.monotonic()
        server.stop()
        seconds = time.monotonic() - began
        self._bury(number)
        return seconds

    def start(self, number: int) -> None:
        """Starts one that has ended; returns once it serves."""
        self._servers[number] = self._start(self._ports[number])

    def logged(self) -> Iterator[dict[str, Any]]:
        """The lines of all logs, also of those that have ended."""
        living = [server.log() for server in self._servers if server.alive]
        for line in "\n".join([*self._ended_logs, *living]).splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def _start(self, port: int) -> ServerProcess:
        return self._setting.ours("--port", str(port), *self._flags).__enter__()

    def _bury(self, number: int) -> None:
        self._ended_logs.append(self._servers[number].log())
        self._servers[number].__exit__()

    def _end(self) -> None:
        for server in self._servers:
            if server.alive:
                server.__exit__()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, for as long as nobody else looks for one."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
