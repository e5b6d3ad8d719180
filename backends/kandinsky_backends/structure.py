"""What a network is apart from the values of its weights: a key to keep by what was made of it, and a form to send."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PACKAGES = ("torch", "diffusers", "transformers")


def structure_digest(module: nn.Module, *more: str) -> hashlib.blake2b:
    """A digest over a module's tree, configuration and code, the shapes of its weights, and ``more``."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (*more, *(version(package) for package in PACKAGES), repr(module)):
        digest.update(f"{text}\n".encode())
    for config in filter(None, (getattr(part, "config", None) for part in module.modules())):
        values = config if isinstance(config, Mapping) else config.to_dict()
        # Underlined are paths and versions of the files that it came from.
        digest.update(repr(sorted((key, values[key]) for key in values if key[0] != "_")).encode())
    for name in sorted({type(part).__module__ for part in module.modules()}):
        if file := getattr(sys.modules[name], "__file__", None):
            digest.update(Path(file).read_bytes())
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
    return digest


def pack(module: nn.Module) -> bytes:
    """Pickles a module without its weights, of which shapes and dtypes are kept.

    Raises:
        Exception: what pickle raises, when something in the module cannot be pickled.
    """
    file = io.BytesIO()
    _Packer(file, module).dump(module)
    return file.getvalue()


def unpack(packed: bytes, device: torch.device) -> nn.Module:
    """The module that was packed, on ``device``, in channels_last order; its weights hold no values."""
    module: nn.Module = _Unpacker(io.BytesIO(packed)).load()
    in_order: nn.Module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return in_order.to_empty(device=device)


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, module: nn.Module) -> None:
        super().__init__(file)
        weights = (*module.parameters(), *module.buffers())
        self._numbers = {id(tensor): number for number, tensor in enumerate(weights)}

    def persistent_id(self, value: object) -> Any:
        if not isinstance(value, Tensor) or id(value) not in self._numbers:
            return None
        return self._numbers[id(value)], isinstance(value, nn.Parameter), tuple(value.shape), value.dtype


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._tensors: dict[int, Tensor] = {}

    def persistent_load(self, identity: Any) -> Tensor:
        number, is_parameter, shape, dtype = identity
        if number not in self._tensors:
            tensor = torch.empty(shape, dtype=dtype, device="meta")
            self._tensors[number] = nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
        return self._tensors[number]
