"""One server that the tests of this folder share, with every stage of the tiny checkpoint."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kandinsky_client import Kandinsky
from kandinsky_server.testing.running import RunningServer


@pytest.fixture(scope="session")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(tiny_model) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: RunningServer) -> Iterator[Kandinsky]:
    with server.client() as connected:
        yield connected
