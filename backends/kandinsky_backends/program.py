"""Programs that inductor makes of a network: what they are made for, the folders they are kept in, and how they run."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kandinsky_backends.base import BatchShape
from kandinsky_backends.structure import structure_digest

MAKING = "1"
"""Counts what ``compiler.py`` has made of one network; what an older one left in a cache is not read."""

CODE_FILE = "code"
WEIGHTS_FILE = "weights"
MOST_ROWS = 63
"""Of a program that takes any number of rows: diffusers' UNets and MoVQ do something else from 64 rows on (Upsample2D in
diffusers/models/upsampling.py)."""

KERNELS = "inductor"
"""The folder in which inductor keeps the kernels of all programs."""


Program = Callable[..., tuple[Tensor, ...]]
"""Takes a network's inputs."""


@dataclass(frozen=True)
class Plan:
    """A program to make. ``any_rows``: it takes up to ``MOST_ROWS`` rows, and ``shape`` is an example."""

    shape: BatchShape
    any_rows: bool

    def folder(self, parent: Path, module: nn.Module, device: torch.device) -> Path:
        """Where the program for ``module``, with any weights, and for ``device`` is kept in ``parent``."""
        rows = "any" if self.any_rows else self.shape.rows
        digest = structure_digest(
            module, MAKING, _target(device), f"{rows} {self.shape.samples} {self.shape.dtypes}"
        )
        return parent / f"program-{digest.hexdigest()}"


class Code:
    """A program without weights, as it is kept in a folder."""

    def __init__(self, folder: Path) -> None:
        """Loads it; raises what torch raises when it cannot be read. No kernel runs."""
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.parent / KERNELS)
        from torch._inductor.standalone_compile import CompiledArtifact

        self._code = CompiledArtifact.load(path=str(folder / CODE_FILE))
        self._names, self._constants = torch.load(folder / WEIGHTS_FILE, weights_only=True)

    def with_weights(self, module: nn.Module) -> Program:
        """The program of ``module``, whose weights must be in channels_last order by the time that it is called."""
        tensors = {**dict(module.named_parameters(remove_duplicate=False)), **self._constants}
        tensors |= dict(module.named_buffers(remove_duplicate=False))
        weights = [tensors[name] for name in self._names]
        return lambda *inputs: tuple(self._code(*weights, *map(ordered, inputs)))


def ordered(tensor: Tensor) -> Tensor:
    """A copy in the memory order that programs are made for: a single row may have any stride and be contiguous."""
    order = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.clone(memory_format=order)


def _target(device: torch.device) -> str:
    """What machine code is made for: the kind of device and, since code names it, its number; on a CPU, the threads."""
    if device.type == "cuda":
        tf32 = torch.backends.cuda.matmul.allow_tf32
        return f"{device.index} {torch.cuda.get_device_name(device)} {torch.version.cuda} {tf32}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        abilities: Sequence[str] = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    except OSError:
        abilities = [platform.processor()]
    return f"{platform.machine()} {abilities} {torch.get_num_threads()}"
