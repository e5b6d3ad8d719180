"""Generates stubs from the protos: `buf generate` with those plugins of buf.gen.yaml that are installed here."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


def command(plugin: dict[str, Any]) -> str:
    """What runs a plugin: a program's name, or its path from this folder."""
    path = plugin.get("local") or plugin.get("protoc_path", "protoc")
    return path if isinstance(path, str) else str(path[0])


def is_here(program: str) -> bool:
    """Whether it can be run."""
    return shutil.which(FOLDER / program if "/" in program else program) is not None


def main() -> None:
    """Runs buf; says what was left out."""
    template = yaml.safe_load((FOLDER / "buf.gen.yaml").read_text())
    plugins = template["plugins"]
    template["plugins"] = [plugin for plugin in plugins if is_here(command(plugin))]
    for plugin in plugins:
        if plugin not in template["plugins"]:
            print(f"not made: {plugin['out']}, since {command(plugin)} is not installed")
    subprocess.run(["buf", "generate", "--template", json.dumps(template)], cwd=FOLDER, check=True)


if __name__ == "__main__":
    main()
