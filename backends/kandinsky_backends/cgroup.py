"""The control groups of this process, version 2 and version 1.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def groups(controller: str, root: Path, membership: Path) -> Iterator[Path]:
    """The directories of the groups that bound this process, from its own up to the root.

    Those of version 2 hold every controller; version 1 has a tree for each. A container may see its own group as the
    root, so that directories on the way to it are missing.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        group = top / path.strip().lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))
