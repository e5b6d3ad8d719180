"""The conformance cases against two replicas behind Serve's gRPC proxy."""

import re
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


def test_every_case_is_as_on_the_server_itself_but_for_what_serve_cannot_do(toys: Cluster) -> None:
    """With every client that is built here; docs/ray.md has what Serve cannot do."""
    command = [sys.executable, "-m", "conformance", "--target", TARGET, "--transport", "grpc", "--jobs", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800)
    print(done.stdout)
    differ = set(re.findall(r"^FAIL (\w+), \S+ over grpc: ", done.stderr, re.MULTILINE))
    health = {"health", "health_of_a_service", "health_of_an_unknown_service"}
    assert differ == {"deadline_unreachable", *health}, done.stdout + done.stderr
