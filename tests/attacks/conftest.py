"""A server that is attacked: a process of its own, whose memory is nobody else's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process import Process


@pytest.fixture(scope="module")
def victim(tiny_model: Path) -> Iterator[Process]:
    with Process(tiny_model) as process:
        process.target("serving")
        yield process
