"""Networks compiled by ``torch.compile``."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from kandinsky_backends import cache
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.compiled_network import AnyRowsNetwork, CompiledNetwork, PaddedNetwork
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.options import DEFAULT_BUCKETS, BackendOptions
from kandinsky_backends.parity import device_of
from kandinsky_backends.toolchain import require_triton

# What is called once a request, and not once a step, does not earn back its compilation.
COMPILED_ROLES = {Role.PRIOR, Role.UNET, Role.MOVQ_DECODER}

# torch stops compiling a function after 8 variants. Ours are bounded: row counts times shapes times stages.
VARIANT_LIMIT = 1024


class CompiledBackend:
    """``torch.compile(fullgraph=True)`` of each network, for the sample shapes that it is prepared for.

    On a CPU the programs take any number of rows, unless buckets are asked for; on CUDA batches are padded to buckets.

    Convolution weights are put into channels_last order in place, which changes no value: measured on a CPU,
    2.5 times eager with it and 2.0 without. On CUDA the programs are CUDA graphs
    (``mode="reduce-overhead"``); that path has not been run on a GPU yet. With a cache directory, torch's
    inductor keeps its programs there, and the next start of the same checkpoint on the same kind of machine
    loads them.

    Source: https://docs.pytorch.org/tutorials/recipes/torch_compile_caching_tutorial.html and diffusers'
    docs/source/en/optimization/fp16.md
    """

    name = "compiled"

    def __init__(self, options: BackendOptions) -> None:
        self._options = options

    def probe(self, device: torch.device) -> None:
        """Returns when inductor can generate code for ``device``; raises BackendUnavailable otherwise."""
        if device.type == "cpu":
            from torch._inductor.cpp_builder import get_cpp_compiler

            try:
                get_cpp_compiler()
            except Exception as error:
                raise BackendUnavailable(
                    "torch.compile needs a C++ compiler for the CPU and finds none.",
                    "Install g++ (apt-get install g++), or point the variable CXX to one.",
                ) from error
        elif device.type != "cuda" or not torch.cuda.is_available():
            raise BackendUnavailable(
                f"torch.compile is used here for cpu and cuda, and '{device}' is not usable as either.",
                "Choose --backend eager.",
            )
        else:
            require_triton()

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Compiles ``network`` for batches of up to the most rows in ``shapes``: minutes, unless cached.

        Sample shapes that are not among ``shapes`` run eagerly, so that no request waits for a compiler.
        """
        if role not in COMPILED_ROLES:
            return EagerNetwork(network)
        cache_dir = cache.usable(self._options.cache_dir)
        programs = cache_dir / "inductor" if cache_dir else _scratch()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(programs)
        torch._dynamo.config.recompile_limit = VARIANT_LIMIT
        torch._dynamo.config.accumulated_recompile_limit = VARIANT_LIMIT
        prepared = self._network(network)
        prepared.warm_up(shapes, role)
        return prepared

    def _network(self, network: nn.Module) -> CompiledNetwork:
        buckets = self._options.buckets
        if buckets is None and device_of(network).type == "cpu":
            return AnyRowsNetwork(network)
        return PaddedNetwork(network, buckets or DEFAULT_BUCKETS)


@functools.cache
def _scratch() -> Path:
    """Where inductor writes what nobody wants to keep: gone when the process ends."""
    folder = tempfile.mkdtemp(prefix="kandinsky-inductor-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
