"""Disks that take no compiled networks: the server starts all the same, and says what it could not keep."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kandinsky_api.v1 import prior_pb2
from kandinsky_api.v1 import types_pb2 as pb

from tests.support.process import Process
from tests.support.raw import connected

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory with room for the first of the prior's networks, and for no more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system of a given size takes the right to mount it")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def no_directory(tmp_path: Path) -> Path:
    """A path that can be made neither a file nor a directory."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "cache"


def warnings(prior: Path, cache: Path) -> list[str]:
    """What a server warns of that would keep its networks in ``cache``, and serves with OpenVINO all the same."""
    flags = ("--backend=openvino", "--strict-backend", "--max-batch-rows=1", f"--backend-cache-dir={cache}")
    with Process(prior, "--model=null", f"--prior={prior}", *flags) as server:
        with connected(server.target("serving")) as raw:
            answer = raw.call(
                "Prior", prior_pb2.PriorRequest(prompts=["a cat"], sampling=pb.PriorSampling(step_count=2))
            )
        server.terminate()
        assert server.wait() == 0
    assert [result.receipt.backend for result in answer.embeddings] == ["openvino"]
    lines = [json.loads(line) for line in server.errors]
    return [line["event"] for line in lines if line["level"] == "warning"]


def test_openvino_serves_without_a_cache_directory(tiny_model: Path, no_directory: Path) -> None:
    (warning,) = warnings(tiny_model / "prior", no_directory)
    assert warning == f"Compiled networks are not kept in {no_directory}: Not a directory."


def test_openvino_serves_when_the_disk_fills_up(tiny_model: Path, small_disk: Path) -> None:
    told = warnings(tiny_model / "prior", small_disk)
    assert told
    assert all(warning.startswith(f"Compiled networks are not kept in {small_disk}") for warning in told)
    assert not list(small_disk.glob("**/draft-*")), "what could not be finished is cleared away"
