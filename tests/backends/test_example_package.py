"""A stranger's package becomes a backend by being installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kandinsky_backends.testing import BackendContract

from tests.support.extras import needs

PACKAGE = Path(__file__).parents[1] / "example_backend"
sys.path.insert(0, str(PACKAGE))
from kandinsky_example import ExampleBackend  # noqa: E402


class TestExample(BackendContract):
    backend = ExampleBackend  # for CPUs


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the example into, without a network."""
    target = tmp_path_factory.mktemp("site")
    command = [
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
        str(PACKAGE),
    ]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    return target


def run_backends(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from kandinsky_backends.cli import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(installed), *sys.path]),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@needs("hatchling")
def test_an_installed_package_is_listed_beside_the_built_in_backends(installed: Path) -> None:
    result = run_backends(installed, "list", "--json", "--device", "cpu")
    available = {status["name"]: status["available"] for status in json.loads(result.stdout)}
    assert available["example"]
    assert available["eager"]
