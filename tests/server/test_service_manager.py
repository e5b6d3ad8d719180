"""sd_notify with a real socket: what systemd hears of a server from its start to its end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import pytest
from kandinsky_server.startup.service_manager import ServiceManager

from tests.support.process import Process
from tests.support.raw import only


class Listener:
    """What systemd has: a socket, from which a thread reads messages of lines as they come."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._messages: SimpleQueue[bytes] = SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while message := self._socket.recv(4096):
            self._messages.put(message)

    def next(self) -> list[str]:
        return self._messages.get(timeout=30).decode().split("\n")

    def until(self, line: str) -> list[str]:
        """The first message that has the line."""
        while line not in (message := self.next()):
            pass
        return message


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def listener(path: str) -> Iterator[Listener]:
    with Listener(path) as listener:
        yield listener


def test_ready_beat_and_stopping(listener: Listener, path: str) -> None:
    manager = ServiceManager(
        {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    )
    manager.ready("serving on 127.0.0.1:1")
    manager.beat(70.5)
    manager.stopping("draining")
    assert listener.next() == ["READY=1", "STATUS=serving on 127.0.0.1:1"]
    assert listener.next() == ["WATCHDOG=1", "WATCHDOG_USEC=70500000"]
    assert listener.next() == ["STOPPING=1", "STATUS=draining"]


def test_a_name_in_the_abstract_namespace() -> None:
    name = f"kandinsky-{os.getpid()}"
    with Listener(f"\0{name}") as listener:
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready("serving")
        assert listener.next() == ["READY=1", "STATUS=serving"]


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}])
def test_without_a_watchdog_of_its_own_it_does_not_beat(
    listener: Listener, path: str, watchdog: dict[str, str]
) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": path, **watchdog})
    manager.beat(1)
    manager.ready("serving")
    assert listener.next()[0] == "READY=1"


def test_nobody_who_asks_and_nobody_who_listens_are_no_errors(path: str) -> None:
    ServiceManager({}).ready("serving")
    ServiceManager({"NOTIFY_SOCKET": path}).ready("serving")


def test_what_matters_waits_for_a_busy_manager_and_a_beat_does_not(path: str) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1"})
    listener = Listener(path)
    for _ in range(1000):  # more than its queue holds
        manager.beat(1)
    with listener:
        manager.ready("serving")
        assert listener.until("READY=1")


@pytest.mark.slow
def test_a_server_tells_its_start_its_life_and_its_end(
    listener: Listener, path: str, tiny_model: Path, tmp_path: Path
) -> None:
    model = only(tmp_path / "model", tiny_model, "decoder")
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000"}
    with Process(model, "--step-timeout-seconds=5", **environment) as server:
        target = server.target("serving")
        assert listener.until("READY=1") == ["READY=1", f"STATUS=serving on {target}"]
        # The step that may begin next, and ten seconds.
        listener.until("WATCHDOG_USEC=15000000")
        server.terminate()
        listener.until("STOPPING=1")
        assert server.wait() == 0
