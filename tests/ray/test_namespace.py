"""Runs `test_cluster.py` in a network of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.extras import needs

HERE = Path(__file__).parent
LONELY = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs("ray")
def test_a_cluster_of_two_replicas() -> None:
    if subprocess.run([*LONELY, "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be had: unshare --net needs root, ip comes with iproute2")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:xdist",
        str(HERE / "test_cluster.py"),
        str(HERE / "test_conformance.py"),
    ]
    done = subprocess.run([*LONELY, *command], cwd=HERE.parents[1], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
