"""Ray listens on every interface: its tests run in a network of their own, where there is nothing but loopback."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from kandinsky_server.testing.running import RunningServer

from tests.ray.cluster import TARGET, Cluster, config
from tests.support.raw import Raw, connected

ALONE = {name for _, name in socket.if_nameindex()} == {"lo"}

collect_ignore = [] if ALONE else ["test_cluster.py", "test_conformance.py"]

QUEUE_SIZE = 4


@pytest.fixture(scope="session")
def cluster(tiny_model: Path) -> Iterator[Cluster]:
    """Two replicas with every stage of the tiny checkpoint."""
    settings = {"model": str(tiny_model), "backend": "eager", "device": "cpu", "dtype": "fp32"}
    with Cluster(config(**settings, queue_size=QUEUE_SIZE, default_share=1.0)) as running:
        yield running


@pytest.fixture(scope="session")
def raw(cluster: Cluster) -> Iterator[Raw]:
    """Stubs that call Serve's gRPC proxy."""
    with connected(TARGET) as stubs:
        yield stubs


@pytest.fixture(scope="session")
def plain(tiny_model: Path) -> Iterator[RunningServer]:
    """What `kandinsky serve` starts, with the same checkpoint."""
    with RunningServer(tiny_model) as running:
        yield running
