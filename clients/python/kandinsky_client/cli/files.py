"""Files that are named on the command line: `-` is none, and what cannot be written is refused before the work."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from errno import ENOTDIR
from pathlib import Path
from typing import Any

import typer


def named_file(value: Any) -> Any:
    """Refuses `-`: nothing is read from a pipe or written to one.

    Raises:
        typer.BadParameter: It is that, or among several.
    """
    if "-" in (str(one) for one in (value if isinstance(value, Sequence) else [value])):
        raise typer.BadParameter(
            "- is no file here: pipes are neither read nor written, so give a file's name"
        )
    return value


def named_texts(values: list[str]) -> list[str]:
    """Refuses `-` among texts, which would otherwise be drawn."""
    if "-" in values:
        raise typer.BadParameter("- is no text: pipes are not read, so give the text itself, in quotes")
    return values


def PEM(variable: str) -> Any:
    """Describes an option that is a PEM file."""
    return typer.Option(
        dir_okay=False, exists=True, callback=named_file, help=f"PEM file; implies --tls. Else {variable}."
    )


def prepare(file: Path) -> None:
    """Makes the folder of a file that is to be written, and tries whether it can be.

    Raises:
        OSError: It can not; nothing that was there has changed.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(ENOTDIR, "is a file and no folder to write to", error.filename) from error
    if file.exists():
        with file.open("r+b"):
            return
    with tempfile.TemporaryFile(dir=file.parent):
        return
