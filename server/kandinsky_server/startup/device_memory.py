"""The memory of the device that networks run on, and of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from kandinsky_backends import cgroup

ALLOCATOR_VARIABLES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Since torch 2.9 the second is the first one's name, and torch reads both.

Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#optimizing-memory-usage-with-pytorch-alloc-conf
"""

MEMINFO = Path("/proc/meminfo")

FILE_PAGES = ("inactive_file", "active_file")
"""What a control group holds of files; the kernel takes it back when it needs memory. Version 1 prefixes ``total_``."""


@dataclass(frozen=True)
class Memory:
    """Free bytes where networks run, ``device``, and in ``main`` memory; None where that is not known.

    Without ``cuda`` networks run in main memory.
    """

    device: int | None
    main: int | None
    cuda: bool


def configure_allocator(device: torch.device) -> None:
    """Has torch grow its segments of a CUDA device instead of making new ones; call it before torch uses the device.

    Batches of ever new shapes leave holes between segments of fixed size. What a user has set stays.
    """
    if device.type == "cuda" and not any(name in os.environ for name in ALLOCATOR_VARIABLES):
        os.environ[ALLOCATOR_VARIABLES[torch.__version__ >= "2.9"]] = "expandable_segments:True"


def memory_of(device: torch.device) -> Memory:
    """What is free now, on the device and in main memory."""
    main = free_in_main_memory()
    if device.type == "cuda":
        return Memory(torch.cuda.mem_get_info(device)[0], main, cuda=True)
    return Memory(main if device.type == "cpu" else None, main, cuda=False)


def free_in_main_memory(
    meminfo: Path = MEMINFO, root: Path = cgroup.ROOT, membership: Path = cgroup.MEMBERSHIP
) -> int | None:
    """What this machine has available, or what this process's control groups leave of it, if that is less."""
    groups = (_left(group) for group in cgroup.groups("memory", root, membership))
    return min((left for left in (_available(meminfo), *groups) if left is not None), default=None)


def _available(meminfo: Path) -> int | None:
    """Source: proc_meminfo(5), ``MemAvailable``, in KiB."""
    return next((1024 * value for name, value in _fields(meminfo) if name == "MemAvailable:"), None)


def _left(group: Path) -> int | None:
    """Of a group's limit; None where it has none."""
    pairs = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    for limit, usage in pairs:
        try:
            most, used = ((group / name).read_text().strip() for name in (limit, usage))
        except OSError:
            continue
        return None if most == "max" else max(0, int(most) - int(used) + _file_bytes(group))
    return None


def _file_bytes(group: Path) -> int:
    found = dict(_fields(group / "memory.stat"))
    return sum(found.get(f"total_{name}", found.get(name, 0)) for name in FILE_PAGES)


def _fields(file: Path) -> Iterator[tuple[str, int]]:
    """Name and number of every line that has both."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        name, *numbers = line.split()
        if numbers and numbers[0].isdecimal():
            yield name, int(numbers[0])
