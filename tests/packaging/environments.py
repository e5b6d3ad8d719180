"""Environments of their own, and commands that are run in them."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path


def run(*command: str | Path, code: int = 0, folder: Path | None = None) -> str:
    """What a command says on stdout, or on stderr where it has to fail; it sees no modules but its environment's."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def environment(folder: Path, wheels: Iterable[Path], *options: str) -> Path:
    """An environment that has these wheels; the folder of its commands."""
    venv.create(folder, with_pip=False)
    commands = folder / "bin"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        commands / "python",
        "--disable-pip-version-check",
    ]
    run(*pip, "install", "--quiet", *options, *wheels)
    return commands
