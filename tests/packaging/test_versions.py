"""The three distributions are released together: one version, one licence."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT, ROOT / "clients" / "python", ROOT / "models")


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


def test_every_distribution_has_the_servers_version() -> None:
    version = project(ROOT)["version"]
    assert {project(folder)["name"]: project(folder)["version"] for folder in FOLDERS} == {
        "kandinsky-server": version,
        "kandinsky-client": version,
        "kandinsky-toy": version,
    }
    asked_for = {name for name in project(ROOT)["dependencies"] if name.startswith("kandinsky-")}
    assert asked_for == {f"kandinsky-client=={version}", f"kandinsky-toy=={version}"}


def test_every_distribution_has_the_same_licence() -> None:
    assert {project(folder)["license"] for folder in FOLDERS} == {"Apache-2.0"}
    assert len({(folder / "LICENSE").read_bytes() for folder in FOLDERS}) == 1
