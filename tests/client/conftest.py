from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from kandinsky_client import AsyncKandinsky, Kandinsky

from .fake_server import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.stop()


@pytest.fixture
def target(server: FakeServer) -> str:
    return server.start()


@pytest.fixture
def client(target: str) -> Iterator[Kandinsky]:
    with Kandinsky(target, timeout=20) as client:
        yield client


@pytest.fixture
async def async_client(target: str) -> AsyncIterator[AsyncKandinsky]:
    async with AsyncKandinsky(target, timeout=20) as client:
        yield client
