"""The CPU budget of this process."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from kandinsky_backends import cgroup


def usable_cores() -> int:
    """Cores this process may use: its affinity mask, cut to its control group's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(cgroup.ROOT, cgroup.MEMBERSHIP)
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def cgroup_quota(root: Path, membership: Path) -> float | None:
    """CPU quota in cores: the smallest from the control group up to the root; ``None``: no limit."""
    quotas = (_quota(group) for group in cgroup.groups("cpu", root, membership))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(group: Path) -> float | None:
    """Quota and period are in us: ``cpu.max`` in version 2, ``cpu.cfs_*_us`` in version 1."""
    try:
        if (group / "cpu.max").exists():
            limit, period = (group / "cpu.max").read_text().split()
        else:
            limit, period = (
                (group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
            )
        return None if limit in ("max", "-1") else int(limit) / int(period)
    except (OSError, ValueError):
        return None


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
