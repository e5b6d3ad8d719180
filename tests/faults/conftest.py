"""One server with nothing but a decoder, whose networks and clients these tests break."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kandinsky_server.testing.running import RunningServer

from tests.support.raw import Raw, connected, only


@pytest.fixture(scope="session")
def decoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return only(tmp_path_factory.mktemp("faults") / "model", tiny_model, "decoder")


@pytest.fixture(scope="session")
def server(decoder: Path) -> Iterator[RunningServer]:
    with RunningServer(decoder, queue_size=400) as running:
        yield running


@pytest.fixture(scope="session")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as connection:
        yield connection
