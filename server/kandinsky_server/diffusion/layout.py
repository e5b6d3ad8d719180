"""Whether a directory holds a stage, told without loading its weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from kandinsky_server.diffusion.fingerprint import WEIGHT_SUFFIXES
from kandinsky_server.diffusion.source import CheckpointError

_PARTS: dict[str, tuple[list[str], list[str]]] = {
    "prior": (
        ["prior", "text_encoder", "image_encoder"],
        ["prior", "text_encoder", "image_encoder", "tokenizer", "image_processor", "scheduler"],
    ),
    "decoder": (["unet"], ["unet", "scheduler"]),
}
"""The folders that must hold weights, and those that must hold a configuration; decoders may borrow a ``movq``."""


def check_layout(stage: str, directory: Path) -> int:
    """Looks for every part of ``stage``, and whether its JSON and the headers of its weights can be read.

    Returns the weights' bytes.

    Raises:
        CheckpointError: naming everything that is missing, unreadable or cut short.
    """
    networks, folders = _PARTS["prior" if stage == "prior" else "decoder"]
    files = list(_weight_files(directory))
    held = {file.relative_to(directory).parts[0] for file in files}
    problems = [f"{name}/ holds no configuration" for name in folders if not _has_config(directory / name)]
    problems += [f"{name}/ holds no weights (*.safetensors, *.bin)" for name in networks if name not in held]
    for file in (directory / "model_index.json", *_configs(directory, (*folders, "movq")), *files):
        if damage := _damage(file):
            problems.append(f"{file.relative_to(directory)} {damage}")
    if problems:
        raise CheckpointError(f"{str(directory)!r}: {'; '.join(problems)}")
    return sum(file.stat().st_size for file in files)


def _weight_files(directory: Path) -> Iterator[Path]:
    return (file for file in sorted(directory.rglob("*")) if file.suffix in WEIGHT_SUFFIXES)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in ``file``; raises CheckpointError naming it when there is none."""
    if damage := _damage(file):
        raise CheckpointError(f"{str(file)!r} {damage}")
    content: dict[str, Any] = json.loads(file.read_bytes())
    return content


def _configs(directory: Path, folders: Iterable[str]) -> Iterator[Path]:
    return (file for name in folders for file in sorted((directory / name).glob("*.json")))


def _has_config(folder: Path) -> bool:
    return any(folder.glob("*.json"))


def _damage(file: Path) -> str:
    """What is wrong with a file, as a predicate; empty when nothing is seen."""
    try:
        if file.suffix == ".safetensors":
            # Maps the file and reads its header, which says how long the file must be.
            with safe_open(file, framework="numpy"):
                pass
        elif file.suffix == ".json":
            return _json_damage(file.read_bytes())
        elif not os.access(file, os.R_OK):
            return "cannot be read"
    except SafetensorError as error:
        return f"is damaged: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return ""


def _json_damage(data: bytes) -> str:
    try:
        content = json.loads(data.decode())
    except UnicodeDecodeError:
        return "is not text in UTF-8"
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    return "" if isinstance(content, dict) else "holds no object, but other JSON"
