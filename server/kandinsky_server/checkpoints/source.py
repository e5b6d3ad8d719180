"""Where checkpoints come from: a directory, a hub id, a preset, or the one built in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from kandinsky_server.checkpoints.hub import download, is_on_hub
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.family import Family
from kandinsky_server.families.kandinsky22.family import KANDINSKY22

FAMILY = KANDINSKY22
"""The family that is served. Nothing else outside `families/` names one: `Sources` and `Model` tell which it is."""

STAGES = tuple(FAMILY.stages)
PRESETS = FAMILY.presets

DEPTH = "depth"
"""The folder of the depth model, beside those of the stages."""

TOY = "toy"
"""The small model that comes with the server: the package `kandinsky_toy`, trained by `training/`."""


@dataclass(frozen=True)
class Sources:
    """For each stage that is served a local directory or hub id, by the stage's name; likewise the depth model."""

    stages: Mapping[str, str] = field(default_factory=dict)
    depth: str | None = None
    family: Family = FAMILY

    def given(self) -> dict[str, str]:
        """The stages that are to be loaded, in the family's order."""
        return {name: self.stages[name] for name in self.family.stages if name in self.stages}


def resolve(model: str | None, overrides: Sources) -> Sources:
    """Works out the stages of ``model``, then lets single stages in ``overrides`` take precedence.

    ``model`` is a preset's name, a directory that holds stage folders, ``"toy"``, or None: the toy checkpoint
    when no stage is named either, else nothing but the stages named.

    Raises:
        CheckpointError: when ``model`` is none of these, or the toy model is not installed.
    """
    sources = _of_model(model or _default(overrides))
    return Sources({**sources.stages, **overrides.stages}, overrides.depth or sources.depth)


def _default(overrides: Sources) -> str:
    return "" if overrides.given() else TOY


def _of_model(model: str) -> Sources:
    if not model:
        return Sources()
    if model in PRESETS:
        return Sources(PRESETS[model])
    directory = _toy_directory() if model == TOY else local_path(model)
    found = {name: str(directory / name) for name in STAGES if (directory / name).is_dir()}
    if not found:
        flags = ", ".join(f"--{name}" for name in STAGES)
        raise CheckpointError(
            f"--model {model!r} is neither {TOY!r} nor a preset ({', '.join(PRESETS)}) nor a directory that holds one of "
            f"the folders {', '.join(STAGES)}; name single stages with {flags}"
        )
    depth = directory / DEPTH
    return Sources(found, str(depth) if depth.is_dir() else None)


def _toy_directory() -> Path:
    try:
        return Path(str(files("kandinsky_toy")))
    except ModuleNotFoundError as error:
        raise CheckpointError(f"--model {TOY!r} needs its weights: pip install kandinsky-toy") from error


def local_directory(source: str) -> Path:
    """The directory of a source; a hub id is downloaded first.

    Raises:
        CheckpointError: when it is no diffusers checkpoint, or the hub cannot be reached.
    """
    path = download(source) if is_on_hub(source) else local_path(source)
    if not (path / "model_index.json").is_file():
        raise CheckpointError(
            f"{source!r} {'is a file and ' if path.is_file() else ''}holds no model_index.json: not a checkpoint in "
            f"diffusers layout{_instead(path)}"
        )
    return path


def _instead(path: Path) -> str:
    """What a directory without index is, as far as it can be told, and the flag for that."""
    if stages := [name for name in STAGES if (path / name / "model_index.json").is_file()]:
        return f"; it holds the stages {', '.join(stages)}: give it as --model, or one of them alone"
    if (path.parent / "model_index.json").is_file():
        return f"; it is part of {str(path.parent)!r}: give that"
    return ""


def local_path(source: str) -> Path:
    """The path that is written as ``source``; raises CheckpointError where ``~`` means nothing."""
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise CheckpointError(
            f"{source!r}: this user has no home directory; give a path without ~"
        ) from error


def public_name(source: str) -> str:
    """What clients may know of a model or a source: a preset or hub id whole, of a directory its own name only."""
    if source in PRESETS or source == TOY or is_on_hub(source):
        return source
    return Path(source).expanduser().absolute().name


def first_line(error: Exception) -> str:
    """Libraries' errors can be pages long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":")
