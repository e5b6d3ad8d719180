"""Fixtures for all tests: the tiny checkpoint that most tests serve, and the trained one."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from importlib.resources import files
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The directory of the tiny checkpoint, built once and kept between runs."""
    from kandinsky_server.testing import tiny

    return tiny.ensure(Path(__file__).parents[1] / ".cache")


@pytest.fixture(scope="session")
def toy_model() -> Path:
    """The directory of the trained checkpoint that comes with the server."""
    return Path(str(files("kandinsky_toy")))
