"""The distributions, built once for all tests of this folder."""

import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.environments import run
from tests.packaging.test_versions import ROOT

FOLDERS = {"client": ROOT / "clients" / "python", "server": ROOT, "toy": ROOT / "models"}


def names(wheel: Path) -> list[str]:
    return sorted(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel of each distribution, made from its sdist alone, where the repository is not at hand."""
    made = {}
    for name, source in FOLDERS.items():
        built, unpacked = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("unpacked")
        run(sys.executable, "-m", "hatchling", "build", "-d", built, folder=source)
        with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
            sdist.extractall(unpacked, filter="data")
        (folder,) = unpacked.iterdir()
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", unpacked, folder=folder)
        (made[name],) = unpacked.glob("*.whl")
        (of_the_repository,) = built.glob("*.whl")
        assert names(made[name]) == names(of_the_repository)
    return made
