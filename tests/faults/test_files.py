"""Disks that take nothing: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process import Process

pytestmark = pytest.mark.slow

TINY_DISK = "size=100k"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory with hardly any room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", TINY_DISK, "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system of a given size takes the right to mount it")
    yield disk
    subprocess.run(["umount", disk], check=True)


def refused(server: Process, *words: str) -> None:
    """The process ends by itself, says why in sentences that hold these words, and has served nobody."""
    assert server.wait() in (1, 2)
    assert not [line for line in server.errors if "Traceback" in line]
    last = server.errors[-1]
    assert last.startswith("kandinsky serve: ")
    assert [word for word in words if word not in last] == []
    assert not [line for line in server.output if line.startswith("serving")]


def test_a_directory_below_a_file_cannot_keep_compiled_networks(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    with Process(tiny_model, "--backend=openvino", f"--backend-cache-dir={cache}") as server:
        refused(server, "backend_cache_dir", str(cache))


def test_a_directory_below_a_file_cannot_keep_the_embedded_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    with Process(Path("embedded"), f"--cache-dir={cache}") as server:
        refused(server, "cache_dir", str(cache))


def test_a_full_disk_cannot_keep_the_embedded_checkpoint(full_disk: Path) -> None:
    with Process(Path("embedded"), f"--cache-dir={full_disk}") as server:
        refused(server, "cache_dir", str(full_disk))
    assert list(full_disk.iterdir()) == [], "what could not be finished is cleared away"
