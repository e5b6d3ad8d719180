from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from kandinsky_client import AsyncKandinsky, Kandinsky
from kandinsky_client.cli import main

from tests.client.fake_server import FakeServer

Run = Callable[..., str]


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


@pytest.fixture
def run(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command in an empty folder against the server; gives stdout, or stderr when it must fail."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KANDINSKY_TARGET", target)

    def run_(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said
        return said.err if code else said.out

    return run_
