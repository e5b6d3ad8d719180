"""The files that hold a network's weights, found by the names that diffusers and transformers give them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from kandinsky_server.errors import CheckpointError

SUFFIXES = (".safetensors", ".bin", ".index.json")
VARIANTS = (None, "fp16")
"""Files without a variant come first, as in diffusers; half-precision ones do where there are no others."""

Shape = tuple[int, ...]


class Library(Enum):
    """What loads a network: the stems of its weights' names, as safetensors and as torch's own files."""

    DIFFUSERS = ("diffusion_pytorch_model", "diffusion_pytorch_model")
    TRANSFORMERS = ("model", "pytorch_model")

    @classmethod
    def of(cls, kind: type[Any]) -> Library:
        """That of a network's class."""
        return cls.TRANSFORMERS if issubclass(kind, PreTrainedModel) else cls.DIFFUSERS


@dataclass(frozen=True)
class WeightFiles:
    """One network's weights: one file, or shards and the ``index`` that names them."""

    files: tuple[Path, ...]
    index: Path | None
    variant: str | None
    safetensors: bool

    @property
    def options(self) -> dict[str, Any]:
        """What has ``from_pretrained`` load these files and no others."""
        return {"variant": self.variant, "use_safetensors": self.safetensors}

    @property
    def name(self) -> str:
        """The file that stands for all of them, with its folder."""
        file = self.index or self.files[0]
        return f"{file.parent.name}/{file.name}"

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(file.stat().st_size for file in self.files)

    def shapes(self) -> dict[str, Shape]:
        """The shape of every tensor by its name, from the files' headers.

        Raises:
            CheckpointError: naming a file that is damaged, or tensors that the index alone knows.
        """
        found: dict[str, Shape] = {}
        for file in self.files:
            found |= _header(file)
        if self.index:
            promised = set(_weight_map(self.index)) - set(found)
            if promised:
                raise CheckpointError(
                    f"{self.index.name} is out of date: its files do not hold {some(promised)}; save the "
                    "checkpoint anew, or remove the index if the weights are in one file"
                )
        return found


def find_weights(folder: Path, library: Library) -> WeightFiles:
    """The files that ``library`` loads from ``folder``, safetensors before torch's own, whole ones before variants.

    Raises:
        CheckpointError: when there are none, or an index names shards that are not there.
    """
    for variant in VARIANTS:
        for safetensors in (True, False):
            if found := _find(folder, library, safetensors, variant):
                return found
    safe, torch_own = library.value
    others = [file.name for file in folder.glob("*") if file.name.endswith(SUFFIXES)]
    raise CheckpointError(
        f"{folder.name}/ holds no weights: neither {safe}.safetensors nor {torch_own}.bin, in one file or in shards"
        + (f", but {some(others)}, which no network is loaded from" if others else "")
    )


def _find(folder: Path, library: Library, safetensors: bool, variant: str | None) -> WeightFiles | None:
    stem = library.value[0 if safetensors else 1]
    name = f"{stem}{'.safetensors' if safetensors else '.bin'}"
    whole, index = (folder / _with_variant(base, variant) for base in (name, f"{name}.index.json"))
    # Of the two diffusers prefers the index, transformers the whole.
    if index.is_file() and (library is Library.DIFFUSERS or not whole.is_file()):
        return WeightFiles(_shards(index), index, variant, safetensors)
    return WeightFiles((whole,), None, variant, safetensors) if whole.is_file() else None


def _with_variant(name: str, variant: str | None) -> str:
    head, _, suffix = name.rpartition(".")
    return f"{head}.{variant}.{suffix}" if variant else name


def _shards(index: Path) -> tuple[Path, ...]:
    files = tuple(index.with_name(name) for name in sorted(set(_weight_map(index).values())))
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise CheckpointError(f"{index.parent.name}/ lacks {some(absent)}, which {index.name} names")
    return files


def _weight_map(index: Path) -> dict[str, str]:
    """The file of every tensor."""
    try:
        weight_map = json.loads(index.read_bytes())["weight_map"]
        if weight_map and all(isinstance(name, str) for name in weight_map.values()):
            return dict(weight_map)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise CheckpointError(f"{index.parent.name}/{index.name} is no index: it holds no object 'weight_map'")


def _header(file: Path) -> dict[str, Shape]:
    where = f"{file.parent.name}/{file.name}"
    try:
        if file.suffix == ".bin":
            return _torch_header(file)
        # Maps the file and reads its header, which says how long the file must be.
        with safe_open(file, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except OSError as error:
        raise CheckpointError(f"{where} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{where} is damaged: {error}") from error
    except Exception as error:  # whatever unpickling stumbles over
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{where} is damaged: {first}") from error


def _torch_header(file: Path) -> dict[str, Shape]:
    with file.open("rb") as opened:
        mapped = opened.read(2) == b"PK"  # not so before torch 1.6, whose files are read whole
    content = torch.load(file, map_location="meta", weights_only=True, mmap=mapped)
    return {name: tuple(tensor.shape) for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}


def some(names: Any) -> str:
    """Three of many names, and how many more there are."""
    first, *more = sorted(map(str, names))
    shown = ", ".join([first, *more[:2]])
    return shown if len(more) <= 2 else f"{shown} and {len(more) - 2} more"
