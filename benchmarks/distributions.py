"""What pip would tell Python of this tree's distributions, for a machine on which they are not installed.

`python -m benchmarks.distributions DIR` writes their names, versions and entry points into DIR, which is to come onto
PYTHONPATH beside the tree's own folders. Backends and the commands of `kandinsky` are found by entry points.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECTS = (ROOT, ROOT / "clients" / "python", ROOT / "models")


def write(directory: Path) -> None:
    """One dist-info folder a distribution."""
    for project in PROJECTS:
        told = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        name, version = told["name"], told["version"]
        folder = directory / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        groups = told.get("entry-points", {})
        lines = [
            line
            for group, found in groups.items()
            for line in (f"[{group}]", *(f"{key} = {value}" for key, value in found.items()))
        ]
        (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")


def ensure() -> None:
    """Writes them for this process and those that it starts, unless they are installed."""
    if entry_points(group="kandinsky.backends"):
        return
    directory = tempfile.mkdtemp(prefix="kandinsky-distributions-")
    write(Path(directory))
    sys.path.insert(0, directory)
    kept = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [directory, kept]))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
