"""The conformance cases against two replicas behind Serve's gRPC proxy."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.ray.cluster import TARGET, Cluster, config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def toys() -> Iterator[Cluster]:
    """Two replicas with the toy model, as the suite wants them."""
    settings = {"model": str(files("kandinsky_toy")), "backend": "eager", "device": "cpu", "dtype": "fp32"}
    with Cluster(config(**settings, deterministic=True, prior_cache_size=0)) as running:
        yield running


def test_every_case_that_needs_no_more_than_an_address_is_as_on_the_server_itself(toys: Cluster) -> None:
    command = [sys.executable, "-m", "conformance", "--target", TARGET, "--client", "python*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
