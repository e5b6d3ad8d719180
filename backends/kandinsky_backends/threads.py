"""The CPU budget of this process."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

CGROUP_ROOT = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores this process may use: its affinity mask, cut to its cgroup's quota (cgroup v2 ``cpu.max``)."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(CGROUP_ROOT, Path("/proc/self/cgroup"))
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def cgroup_quota(root: Path, membership: Path) -> float | None:
    """CPU quota in cores: the smallest ``cpu.max`` from the cgroup up to the root; ``None``: no limit.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (``cpu.max``: quota and period in us).
    """
    try:
        unified = next(line for line in membership.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    group = root / unified.removeprefix("0::").strip().lstrip("/")
    quotas = []
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            break
        try:
            limit, period = (folder / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if limit != "max":
            quotas.append(int(limit) / int(period))
    return min(quotas, default=None)


def set_threads(count: int | None = None) -> int:
    """Gives torch, OpenMP and OpenVINO ``count`` threads each (default: all usable cores) and returns the
    number.

    OpenVINO takes torch's number when it compiles a network. ``OMP_NUM_THREADS`` reaches libraries loaded
    later and child processes.
    """
    count = usable_cores() if count is None else count
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    torch.set_num_threads(count)
    os.environ["OMP_NUM_THREADS"] = str(count)
    return count
