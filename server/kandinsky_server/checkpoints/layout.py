"""The files of a stage, by the names that the libraries give them; told without loading weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from kandinsky_server.checkpoints.weight_files import Library, WeightFiles, find_weights
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.family import Family
from kandinsky_server.families.stage_spec import StageSpec

INDEX = "model_index.json"

CONFIGS = {
    "scheduler": "scheduler_config.json",
    "tokenizer": "tokenizer_config.json",
    "image_processor": "preprocessor_config.json",
}
"""The configuration that each folder must hold; a network's is ``config.json``."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""Further files of a tokenizer, as far as they are there."""


@dataclass(frozen=True)
class Layout:
    """A stage's files that are loaded: ``configs``, and ``weights`` by folder.

    A decoder that borrows its MoVQ has none in ``weights``.
    """

    directory: Path
    configs: tuple[Path, ...]
    weights: Mapping[str, WeightFiles]

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(weights.size for weights in self.weights.values())

    def files(self, folder: str | None = None) -> list[Path]:
        """What a fingerprint covers: everything that is loaded, or what of it is in one folder."""
        everything = chain(
            self.configs,
            *(weights.files for weights in self.weights.values()),
            (weights.index for weights in self.weights.values() if weights.index),
        )
        return [file for file in everything if folder is None or file.parent.name == folder]


def read_layout(family: Family, stage: str, directory: Path) -> Layout:
    """Looks for every part of a family's ``stage``, and whether its JSON and the headers of its weights can be read.

    Raises:
        CheckpointError: naming everything that is missing, unreadable or cut short.
    """
    spec = family.stages[stage]
    networks = {folder: Library.of(kind) for folder, kind in spec.networks.items()}
    others = (*spec.processors, "scheduler")
    problems: list[str] = []
    configs = [directory / INDEX]
    for folder in (*networks, *others):
        name = CONFIGS.get(folder, "config.json")
        if (directory / folder / name).is_file():
            configs.append(directory / folder / name)
        elif folder != "movq":
            problems.append(f"{folder}/ holds no {name}")
    further = [directory / "tokenizer" / name for name in TOKENIZER_FILES] if "tokenizer" in others else []
    configs += [file for file in further if file.is_file()]
    for file in configs:
        if damage := _damage(file):
            problems.append(f"{file.relative_to(directory)} {damage}")
    weights = _weights(directory, networks, problems)
    if "movq" in weights and directory / "movq" / "config.json" not in configs:
        problems.append("movq/ holds no config.json")
    if problems:
        raise CheckpointError("; ".join(problems) + _hint(family, spec, directory))
    return Layout(directory, tuple(configs), weights)


def _weights(directory: Path, networks: Mapping[str, Library], problems: list[str]) -> dict[str, WeightFiles]:
    found: dict[str, WeightFiles] = {}
    for folder, library in networks.items():
        if folder == "movq" and not _has_weights(directory / folder):
            continue
        try:
            found[folder] = find_weights(directory / folder, library)
            found[folder].shapes()
        except CheckpointError as error:
            problems.append(str(error))
    return found


def _has_weights(folder: Path) -> bool:
    """A MoVQ's folder may hold none, and then it borrows them; a broken one is no such folder."""
    return any(
        file.name.startswith("diffusion_pytorch_model") and file.suffix in (".safetensors", ".bin", ".json")
        for file in folder.glob("*")
    )


def _hint(family: Family, spec: StageSpec, directory: Path) -> str:
    """What the directory looks like, if that is another stage."""
    if not (directory / spec.folder).is_dir():
        for other in family.stages.values():
            if (directory / other.folder).is_dir():
                return f"; this looks like a {other.name}: give it as --{other.name}"
    return ""


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in ``file``; raises CheckpointError naming it when there is none."""
    if damage := _damage(file):
        raise CheckpointError(f"{str(file)!r} {damage}")
    content: dict[str, Any] = json.loads(file.read_bytes())
    return content


def _damage(file: Path) -> str:
    """What is wrong with a configuration, as a predicate; empty when nothing is seen."""
    try:
        data = file.read_bytes()
        text = data.decode()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except UnicodeDecodeError:
        return "is not text in UTF-8"
    if file.suffix != ".json":
        return ""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    return "" if isinstance(content, dict) else "holds no object, but other JSON"
