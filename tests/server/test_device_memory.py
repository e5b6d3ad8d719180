"""What is free, as the kernel tells it."""

import os
from pathlib import Path

import pytest
import torch
from kandinsky_server.startup.device_memory import configure_allocator, free_in_main_memory, memory_of

MEMINFO = "MemTotal:       24684084 kB\nMemFree:         1000000 kB\nMemAvailable:    2000000 kB\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "membership").write_text("4:memory:/job\n0::/pod/container\n")
    for folder in ("pod/container", "memory/job"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def free(machine: Path) -> int | None:
    return free_in_main_memory(machine / "meminfo", machine, machine / "membership")


def put(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_without_a_limit_it_is_what_the_machine_has(machine: Path) -> None:
    put(machine / "pod" / "container", memory__max="max", memory__current="5000")
    assert free(machine) == 2_000_000 * 1024


def test_a_limit_counts_without_what_the_kernel_can_take_back(machine: Path) -> None:
    put(machine / "pod" / "container", memory__max="max", memory__current="5000")
    put(
        machine / "pod",
        memory__max="900000",
        memory__current="800000",
        memory__stat="anon 300000\ninactive_file 200000\nactive_file 100000",
    )
    assert free(machine) == 900_000 - 800_000 + 300_000


def test_version_1_of_control_groups_counts_too(machine: Path) -> None:
    put(
        machine / "memory",
        memory__limit_in_bytes="700000",
        memory__usage_in_bytes="600000",
        memory__stat="inactive_file 1\ntotal_inactive_file 50000\ntotal_active_file 0",
    )
    assert free(machine) == 150_000


def test_a_limit_above_the_machine_is_none(machine: Path) -> None:
    put(machine / "memory", memory__limit_in_bytes="9223372036854771712", memory__usage_in_bytes="1")
    assert free(machine) == 2_000_000 * 1024


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    assert free_in_main_memory(tmp_path / "meminfo", tmp_path, tmp_path / "membership") is None


def test_networks_on_a_cpu_run_in_main_memory() -> None:
    memory = memory_of(torch.device("cpu"))
    assert memory.device == memory.main
    assert not memory.cuda


NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back
        monkeypatch.delenv(name)


def said() -> list[str]:
    return [os.environ[name] for name in NAMES if name in os.environ]


def test_segments_grow_on_cuda_alone() -> None:
    configure_allocator(torch.device("cpu"))
    assert said() == []
    configure_allocator(torch.device("cuda", 1))
    assert said() == ["expandable_segments:True"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_user_says_of_the_allocator_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "max_split_size_mb:128")
    configure_allocator(torch.device("cuda"))
    assert said() == ["max_split_size_mb:128"]
