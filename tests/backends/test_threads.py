"""The CPU budget."""

import os
from pathlib import Path

import pytest
import torch
from kandinsky_backends import threads


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    path = tmp_path / "membership"
    path.write_text("1:cpu:/old\n0::/pod/container\n")
    (tmp_path / "pod" / "container").mkdir(parents=True)
    return path


def test_the_smallest_quota_on_the_way_to_the_root_counts(tmp_path: Path, membership: Path) -> None:
    (tmp_path / "pod" / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "pod" / "container" / "cpu.max").write_text("400000 100000\n")
    assert threads.cgroup_quota(tmp_path, membership) == 1.5


@pytest.mark.parametrize("content", ["max 100000\n", ""])
def test_no_limit_is_no_quota(tmp_path: Path, membership: Path, content: str) -> None:
    (tmp_path / "pod" / "container" / "cpu.max").write_text(content)
    assert threads.cgroup_quota(tmp_path, membership) is None


@pytest.mark.parametrize(("quota", "cores"), [("50000", 0.5), ("-1", None)])
def test_version_1_of_control_groups_counts_too(
    tmp_path: Path, membership: Path, quota: str, cores: float | None
) -> None:
    """A container sees its own group where the path of its membership would begin."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert threads.cgroup_quota(tmp_path, membership) == cores


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert threads.cgroup_quota(tmp_path, tmp_path / "absent") is None


def test_a_quota_is_rounded_up_to_whole_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cgroup_quota", lambda root, membership: 0.5)
    assert threads.usable_cores() == 1


def test_one_number_is_set_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    try:
        assert threads.set_threads(3) == 3
        assert torch.get_num_threads() == 3
        assert os.environ["OMP_NUM_THREADS"] == "3"
    finally:
        torch.set_num_threads(before)


def test_zero_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        threads.set_threads(0)
