"""Fixtures for all tests: the tiny checkpoint, and one server that most tests share."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The directory of the tiny checkpoint, built once and kept between runs."""
    from kandinsky_server.diffusion import tiny

    return tiny.ensure(Path(__file__).parents[1] / ".cache")
