"""Whether a directory holds a stage, told without loading its weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

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
    """Looks for every part of ``stage`` and at the header of every weight file; returns the weights' bytes.

    Raises:
        CheckpointError: naming everything that is missing, unreadable or cut short.
    """
    networks, folders = _PARTS["prior" if stage == "prior" else "decoder"]
    files = list(_weight_files(directory))
    held = {file.relative_to(directory).parts[0] for file in files}
    problems = [f"{name}/ holds no configuration" for name in folders if not _has_config(directory / name)]
    problems += [f"{name}/ holds no weights (*.safetensors, *.bin)" for name in networks if name not in held]
    problems += [f"{file.relative_to(directory)} {damage}" for file in files if (damage := _damage(file))]
    if problems:
        raise CheckpointError(f"{str(directory)!r}: {'; '.join(problems)}")
    return sum(file.stat().st_size for file in files)


def _weight_files(directory: Path) -> Iterator[Path]:
    return (file for file in sorted(directory.rglob("*")) if file.suffix in WEIGHT_SUFFIXES)


def _has_config(folder: Path) -> bool:
    return any(folder.glob("*.json"))


def _damage(file: Path) -> str:
    if not os.access(file, os.R_OK):
        return "cannot be read"
    if file.suffix == ".safetensors":
        try:
            # Maps the file and reads its header, which says how long the file must be.
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            return f"is damaged: {error}"
    return ""
