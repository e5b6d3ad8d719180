"""Networks compiled by ``torch.compile``, for a few row counts that batches are padded to."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from kandinsky_backends import cache
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.buckets import BucketPlan
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.parity import device_of

logger = logging.getLogger(__name__)

# What is called once a request, and not once a step, does not earn back its compilation.
COMPILED_ROLES = {Role.PRIOR, Role.UNET, Role.MOVQ_DECODER}

# torch stops compiling a function after 8 variants. Ours are bounded: buckets times shapes times stages.
VARIANT_LIMIT = 1024

UNFORESEEN = "eager_on_recompile"
"""What torch does during a request with inputs that it has no program for: compiling would take seconds to minutes."""

Signature = tuple[tuple[tuple[int, ...], torch.dtype], ...]


class CompiledBackend:
    """``torch.compile(fullgraph=True)`` of each network, one program for each bucket of rows and sample
    shape.

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

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Compiles ``network`` for all buckets up to the most rows in ``shapes``: minutes, unless cached.

        Sample shapes that are not among ``shapes`` run eagerly, so that no request waits for a compiler.
        """
        if role not in COMPILED_ROLES:
            return EagerNetwork(network)
        cache_dir = cache.usable(self._options.cache_dir)
        programs = cache_dir / "inductor" if cache_dir else _scratch()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(programs)
        torch._dynamo.config.recompile_limit = VARIANT_LIMIT
        torch._dynamo.config.accumulated_recompile_limit = VARIANT_LIMIT
        prepared = CompiledNetwork(network, self._options.buckets)
        prepared.warm_up(shapes, role)
        return prepared


class CompiledNetwork:
    """A module compiled for some sample shapes at each bucket of rows."""

    def __init__(self, module: nn.Module, buckets: Sequence[int]) -> None:
        self._eager = EagerNetwork(module)
        self._buckets = tuple(buckets)
        self._plans: dict[Signature, BucketPlan] = {}
        self._cuda = device_of(module).type == "cuda"
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._compiled = torch.compile(
            module, fullgraph=True, dynamic=False, mode="reduce-overhead" if self._cuda else None
        )

    def warm_up(self, shapes: Sequence[BatchShape], role: Role) -> None:
        """Compiles, for each sample shape, the buckets that up to the most rows in ``shapes`` need."""
        most = max((shape.rows for shape in shapes), default=0)
        buckets = [bucket for i, bucket in enumerate(self._buckets) if i == 0 or self._buckets[i - 1] < most]
        samples = dict.fromkeys((shape.samples, shape.dtypes) for shape in shapes)
        for sample, dtypes in samples:
            seconds = {}
            for bucket in buckets:
                logger.info("Compiling the %s network for %d rows of %s.", role, bucket, sample[0])
                inputs = BatchShape(bucket, sample, dtypes).random_inputs(device_of(self._eager.module))
                seconds[bucket] = self._seconds(inputs)
            self._plans[_signature(inputs)] = BucketPlan(seconds)

    @torch.no_grad()
    def _seconds(self, inputs: tuple[Tensor, ...]) -> float:
        """What one call takes, once compiled; CUDA graphs are recorded by the second call."""
        timings = []
        for _ in range(4):
            began = time.perf_counter()
            self._run(inputs, len(inputs[0]))
            if self._cuda:
                torch.cuda.synchronize()
            timings.append(time.perf_counter() - began)
        return min(timings[2:])

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Covers the rows with compiled buckets, the last one padded where that is the quickest way."""
        plan = self._plans.get(_signature(inputs))
        if plan is None:
            return self._eager(*inputs)
        parts, start = [], 0
        with torch.compiler.set_stance(UNFORESEEN):
            for bucket in plan(len(inputs[0])):
                parts.append(self._run(tuple(tensor[start : start + bucket] for tensor in inputs), bucket))
                start += bucket
        return (
            parts[0] if len(parts) == 1 else tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))
        )

    def _run(self, inputs: tuple[Tensor, ...], bucket: int) -> tuple[Tensor, ...]:
        rows = len(inputs[0])
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        outputs = self._compiled(*(self._padded(tensor, bucket) for tensor in inputs))
        # A CUDA graph writes its next outputs into the same memory.
        return tuple(output[:rows].clone() if self._cuda else output[:rows] for output in outputs)

    def _padded(self, tensor: Tensor, bucket: int) -> Tensor:
        """A copy of ``tensor`` with its last row repeated up to ``bucket`` rows, in the memory order compiled for.

        A copy, since programs are for one order exactly: a single row may have any stride and be contiguous.
        """
        missing = bucket - len(tensor)
        if missing:
            tensor = torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])])
        order = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        return tensor.clone(memory_format=order)


@functools.cache
def _scratch() -> Path:
    """Where inductor writes what nobody wants to keep: gone when the process ends."""
    folder = tempfile.mkdtemp(prefix="kandinsky-inductor-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _signature(inputs: Sequence[Tensor]) -> Signature:
    """What a program is compiled for, apart from the rows."""
    return tuple((tuple(tensor.shape[1:]), tensor.dtype) for tensor in inputs)
