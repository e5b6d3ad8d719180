"""Arrays and metadata in `.safetensors` files; knows no class of this package but the error."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy


@dataclass(frozen=True)
class Tensor:
    """One tensor as it is stored: `dtype` is safetensors' name for it, such as "F32" or "BF16"."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def write_tensors(
    path: str | PathLike[str], tensors: dict[str, np.ndarray[Any, Any]], metadata: dict[str, str]
) -> None:
    """Writes a file, making its folder and replacing what was there. Equal contents are equal bytes.

    Raises:
        OSError: The file cannot be written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_in_order(safetensors.numpy.save(tensors, metadata)))


def read_tensors(path: str | PathLike[str]) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Reads a file's tensors and metadata.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no such file, or is damaged.
    """
    content = Path(path).read_bytes()
    try:
        stored = dict(safetensors.deserialize(content))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    tensors = {
        name: Tensor(each["dtype"], tuple(each["shape"]), bytes(each["data"]))
        for name, each in stored.items()
    }
    return tensors, _metadata(content)


def _in_order(content: bytes) -> bytes:
    """Sorts the keys of the metadata, which safetensors writes in an order of chance."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length)
    return content[:8] + text + content[8 + length :]


def _metadata(content: bytes) -> dict[str, str]:
    """safetensors hands out metadata of files only, not of bytes; its header is plain JSON after a length."""
    (length,) = struct.unpack_from("<Q", content)
    metadata: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return metadata
