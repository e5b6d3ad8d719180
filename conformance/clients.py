"""The clients, as their `conformance.toml` describe them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.paths import CLIENTS

ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
"""What programs run in: `python` is this interpreter."""


@dataclass(frozen=True)
class Example:
    """One of a client's examples.

    Args:
        file: Its source.
        command: How it is run.
    """

    file: Path
    command: tuple[str, ...]


@dataclass(frozen=True)
class Client:
    """One program that is held to the suite.

    Args:
        name: What the table calls it.
        folder: Its client's folder.
        needs: Programs that must be on PATH.
        build: What is run in `folder` before; empty is nothing.
        command: How the program is started, in `folder`.
        transports: What it speaks.
        known_failures: Cases, or "case over transport", that must fail, with the reason.
        examples: By name.
        about: `package`, `runs_on` and `size`, for docs/clients.md.
    """

    name: str
    folder: Path
    needs: tuple[str, ...]
    build: tuple[str, ...]
    command: tuple[str, ...]
    transports: tuple[str, ...]
    known_failures: Mapping[str, str]
    examples: Mapping[str, Example]
    about: Mapping[str, str]

    @property
    def language(self) -> str:
        """The name of its folder: what its user agent says."""
        return self.folder.name

    @property
    def has_examples(self) -> bool:
        """Whether it has any; further programs of a client have none of their own."""
        return bool(self.examples)

    @property
    def lacking(self) -> list[str]:
        """The needs that are not on PATH."""
        return [need for need in self.needs if not shutil.which(need, path=ENVIRONMENT["PATH"])]


class BuildError(Exception):
    """A client could not be built; the message is what its build said."""


def find_clients(folder: Path | None = None) -> list[Client]:
    """Reads every `conformance.toml` in the folders of `clients/`, or of another folder; Python's is always the first.

    Raises:
        ValueError: One is not as README.md says.
    """
    python = CLIENTS / "python" / "conformance.toml"
    others = sorted(set((folder or CLIENTS).glob("*/conformance.toml")) - {python})
    return [client for file in (python, *others) for client in _read(file)]


def build(client: Client) -> None:
    """Builds a client's program and examples; raises BuildError."""
    if not client.build:
        return
    done = subprocess.run(
        client.build,
        cwd=client.folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(client.build)} ended with {done.returncode}:\n{done.stdout[-8000:]}")


def _read(file: Path) -> list[Client]:
    folder = file.parent
    try:
        content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        programs = {content["name"]: content["program"], **content.get("more_programs", {})}
        examples = {
            name: Example(folder / entry["file"], _resolved(folder, entry["run"]))
            for name, entry in content.get("examples", {}).items()
        }
        return [
            Client(
                name=name,
                folder=folder,
                needs=tuple(content["needs"]),
                build=tuple(content["build"]),
                command=_resolved(folder, program),
                transports=tuple(content["transports"]),
                known_failures=content.get("known_failures", {}),
                # They are the client's, whichever of its programs is looked at.
                examples=examples if name == content["name"] else {},
                about=content.get("about", {}),
            )
            for name, program in programs.items()
        ]
    except (KeyError, TypeError, AttributeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{file} is not as conformance/README.md says: {error!r}") from error


def _resolved(folder: Path, command: Sequence[str]) -> tuple[str, ...]:
    """A path with a slash that is not absolute is relative to the client's folder."""
    return tuple(str(folder / part) if "/" in part and not part.startswith("-") else part for part in command)
