"""A server that is attacked: a process of its own, whose memory is nobody else's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import Process
from tests.support.raw import only


@pytest.fixture(scope="module")
def victim(tiny_model: Path) -> Iterator[Process]:
    with Process(tiny_model) as process:
        process.target("serving")
        yield process


@pytest.fixture(scope="module")
def decoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return only(tmp_path_factory.mktemp("hang") / "model", tiny_model, "decoder")
