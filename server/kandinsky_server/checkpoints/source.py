"""Where checkpoints come from: a directory, a hub id, a preset, or the one built in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

STAGES = ("prior", "decoder", "inpaint", "controlnet")

PRESETS = {
    "kandinsky-2.2": {
        "prior": "kandinsky-community/kandinsky-2-2-prior",
        "decoder": "kandinsky-community/kandinsky-2-2-decoder",
        "inpaint": "kandinsky-community/kandinsky-2-2-decoder-inpaint",
        "controlnet": "kandinsky-community/kandinsky-2-2-controlnet-depth",
    }
}

TOY = "toy"
"""The small model that comes with the server: the package `kandinsky_toy`, trained by `training/`."""


class CheckpointError(Exception):
    """A checkpoint cannot be found or read; the message says what to do."""


@dataclass(frozen=True)
class Sources:
    """For each stage a local directory or hub id, or None when the stage is not served; likewise the depth model."""

    prior: str | None = None
    decoder: str | None = None
    inpaint: str | None = None
    controlnet: str | None = None
    depth: str | None = None

    def given(self) -> dict[str, str]:
        """The stages that are to be loaded, in their fixed order."""
        pairs = ((name, getattr(self, name)) for name in STAGES)
        return {name: source for name, source in pairs if source}


def resolve(model: str | None, overrides: Sources) -> Sources:
    """Works out the stages of ``model``, then lets single stages in ``overrides`` take precedence.

    ``model`` is a preset's name, a directory that holds stage folders, ``"toy"``, or None: the toy checkpoint
    when no stage is named either, else nothing but the stages named.

    Raises:
        CheckpointError: when ``model`` is none of these, or the toy model is not installed.
    """
    sources = _of_model(model or _default(overrides))
    given = {name: getattr(overrides, name) for name in (*STAGES, "depth") if getattr(overrides, name)}
    return replace(sources, **given)


def _default(overrides: Sources) -> str:
    return "" if overrides.given() else TOY


def _of_model(model: str) -> Sources:
    if not model:
        return Sources()
    if model in PRESETS:
        return Sources(**PRESETS[model])
    directory = _toy_directory() if model == TOY else local_path(model)
    found = {name: str(directory / name) for name in (*STAGES, "depth") if (directory / name).is_dir()}
    if not set(found) & set(STAGES):
        raise CheckpointError(
            f"--model {model!r} is neither {TOY!r} nor a preset ({', '.join(PRESETS)}) nor a directory that holds one of "
            f"the folders {', '.join(STAGES)}; name single stages with --prior, --decoder, --inpaint, --controlnet"
        )
    return Sources(**found)


def _toy_directory() -> Path:
    try:
        return Path(str(files("kandinsky_toy")))
    except ModuleNotFoundError as error:
        raise CheckpointError(f"--model {TOY!r} needs its weights: pip install kandinsky-toy") from error


def local_directory(source: str) -> Path:
    """The directory of a source; a hub id is downloaded first (weights as safetensors, no fp16 variants).

    Raises:
        CheckpointError: when it is no diffusers checkpoint, or the hub cannot be reached.
    """
    path = _download(source) if is_on_hub(source) else local_path(source)
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


def is_on_hub(source: str) -> bool:
    """Whether a source is a hub id: it looks like one, and nothing here has its name."""
    looks = source.count("/") == 1 and not source.startswith((".", "/", "~"))
    return looks and not Path(source).exists()


def public_name(source: str) -> str:
    """What clients may know of a model or a source: a preset or hub id whole, of a directory its own name only."""
    if source in PRESETS or source == TOY or is_on_hub(source):
        return source
    return Path(source).expanduser().absolute().name


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        found = snapshot_download(
            repository,
            allow_patterns=["*.json", "*.txt", "*.safetensors"],
            ignore_patterns=["*fp16*", "*non_ema*"],
        )
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"the hub has no repository {repository!r}, or it needs a token") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{repository!r} is not a local directory and the hub could not be reached; download it elsewhere and "
            "name the directory"
        ) from error
    return Path(found)


def first_line(error: Exception) -> str:
    """Libraries' errors can be pages long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":")
