"""Where compiled networks are kept, and that it can be done without."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from kandinsky_backends import cache
from kandinsky_backends.base import Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.openvino import OpenvinoBackend
from kandinsky_backends.options import BackendOptions
from torch import nn

from tests.support.extras import needs


def kept(directory: Path) -> list[Path]:
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())


def openvino(directory: Path, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    options = BackendOptions(threads=1, cache_dir=directory)
    (output,) = OpenvinoBackend(options).prepare(network, Role.PRIOR, [])(inputs)
    return output


def test_a_directory_that_cannot_be_made_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    directory = tmp_path / "file" / "cache"
    assert [cache.usable(directory) for _ in range(3)] == [None] * 3
    (record,) = caplog.records
    assert record.getMessage() == f"Compiled networks are not kept in {directory}: Not a directory."
    assert cache.usable(tmp_path / "deep" / "down") == tmp_path / "deep" / "down"
    assert not kept(tmp_path / "deep"), "trying leaves nothing"


def test_drafts_of_killed_processes_are_cleared_away_and_others_are_not(tmp_path: Path) -> None:
    old, young = tmp_path / "draft-old", tmp_path / "draft-young"
    for directory in (old, young):
        directory.mkdir()
        (directory / "half.blob").touch()
    hours_ago = time.time() - 2 * cache.DRAFT_SECONDS
    os.utime(old, (hours_ago, hours_ago))
    with cache.draft(tmp_path) as draft:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([draft.name, young.name])
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


@needs("openvino")
def test_openvino_reads_no_draft_and_keeps_its_files_whole(tmp_path: Path) -> None:
    """What a process had written when it was killed, here half of all that it would have."""
    network, inputs = nn.Linear(64, 64), torch.randn(3, 64)
    openvino(tmp_path / "a", network, inputs)
    (blob,) = [path for path in kept(tmp_path / "a") if path.suffix == ".blob"]
    whole = (tmp_path / "a" / blob).read_bytes()
    left = tmp_path / "a" / blob.parent / "draft-killed" / blob.name
    left.parent.mkdir()
    (tmp_path / "a" / blob).rename(left)
    left.write_bytes(whole[: len(whole) // 2])
    output = openvino(tmp_path / "a", network, inputs)
    torch.testing.assert_close(output, EagerNetwork(network)(inputs)[0])
    assert blob in kept(tmp_path / "a")


@needs("openvino")
def test_openvino_goes_on_when_its_files_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a disk that fills up, for which OpenVINO raises a RuntimeError."""

    def full(*_: object) -> None:
        raise RuntimeError("iostream error")

    monkeypatch.setattr("kandinsky_backends.openvino.save", full)
    network, inputs = nn.Linear(4, 4), torch.randn(3, 4)
    torch.testing.assert_close(openvino(tmp_path, network, inputs), EagerNetwork(network)(inputs)[0])
    assert ["iostream error" in record.getMessage() for record in caplog.records] == [True]
    assert not kept(tmp_path)
