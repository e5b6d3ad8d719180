"""A network and the programs that ``torch.compile`` makes of it, so that none is made during a request."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from kandinsky_backends.base import BatchShape, Role
from kandinsky_backends.buckets import BucketPlan
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.parity import device_of

logger = logging.getLogger(__name__)

UNFORESEEN = "eager_on_recompile"
"""What torch does during a request with inputs that it has no program for: compiling would take seconds to minutes."""

Signature = tuple[tuple[tuple[int, ...], torch.dtype], ...]


class CompiledNetwork(ABC):
    """A module with programs for some sample shapes; it runs others eagerly."""

    def __init__(self, module: nn.Module, mode: str | None = None) -> None:
        self._eager = EagerNetwork(module)
        self._warm: set[Signature] = set()
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        programs = torch.compile(module, fullgraph=True, dynamic=False, mode=mode)
        self._programs = EagerNetwork(cast(nn.Module, programs))

    @torch.no_grad()
    def warm_up(self, shapes: Sequence[BatchShape], role: Role) -> None:
        """Compiles, for each sample shape, what batches of up to the most rows in ``shapes`` need."""
        most = max((shape.rows for shape in shapes), default=0)
        samples = dict.fromkeys((shape.samples, shape.dtypes) for shape in shapes)
        for sample, dtypes in samples:
            for rows in self._row_counts(most):
                logger.info("Compiling the %s network for %d rows of %s.", role, rows, sample[0])
                inputs = BatchShape(rows, sample, dtypes).random_inputs(device_of(self._eager.module))
                self._compile(inputs)
                self._warm.add(_signature(inputs))

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs the programs; nothing is compiled."""
        if _signature(inputs) not in self._warm:
            return self._eager(*inputs)
        with torch.compiler.set_stance(UNFORESEEN):
            return self._run(inputs)

    @abstractmethod
    def _row_counts(self, most: int) -> Iterator[int]:
        """What to compile so that batches of up to ``most`` rows are served."""

    @abstractmethod
    def _compile(self, inputs: tuple[Tensor, ...]) -> None:
        """Makes a program for as many rows as ``inputs`` have, if there is none."""

    @abstractmethod
    def _run(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Runs as many rows as ``inputs`` have."""


class AnyRowsNetwork(CompiledNetwork):
    """Programs whose rows are dynamic: as quick on a CPU as those for one row count, and nothing is padded.

    A program serves a range of row counts that torch chooses, such as 1, 2 to 15, and 16 to 63 for a UNet.
    """

    def _row_counts(self, most: int) -> Iterator[int]:
        while most:
            yield most
            most //= 2

    def _compile(self, inputs: tuple[Tensor, ...]) -> None:
        copies = tuple(_ordered(tensor) for tensor in inputs)
        for tensor in copies:
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        self._programs(*copies)

    def _run(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self._programs(*(_ordered(tensor) for tensor in inputs))


class PaddedNetwork(CompiledNetwork):
    """A program for each of ``buckets``, rows that batches are split into and padded to; on CUDA, a CUDA graph."""

    def __init__(self, module: nn.Module, buckets: Sequence[int]) -> None:
        self._cuda = device_of(module).type == "cuda"
        super().__init__(module, "reduce-overhead" if self._cuda else None)
        self._buckets = tuple(buckets)
        self._seconds: dict[Signature, dict[int, float]] = {}
        self._plans: dict[Signature, BucketPlan] = {}

    def _row_counts(self, most: int) -> Iterator[int]:
        for smaller, bucket in zip((0, *self._buckets), self._buckets, strict=False):
            if smaller < most:
                yield bucket

    def _compile(self, inputs: tuple[Tensor, ...]) -> None:
        timings = []
        for _ in range(4):  # CUDA graphs are recorded by the second call
            began = time.perf_counter()
            self._call(inputs, len(inputs[0]))
            if self._cuda:
                torch.cuda.synchronize()
            timings.append(time.perf_counter() - began)
        seconds = self._seconds.setdefault(_signature(inputs), {})
        seconds[len(inputs[0])] = min(timings[2:])
        self._plans[_signature(inputs)] = BucketPlan(seconds)

    def _run(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        parts, start = [], 0
        for bucket in self._plans[_signature(inputs)](len(inputs[0])):
            parts.append(self._call(tuple(tensor[start : start + bucket] for tensor in inputs), bucket))
            start += bucket
        return (
            parts[0] if len(parts) == 1 else tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))
        )

    def _call(self, inputs: tuple[Tensor, ...], bucket: int) -> tuple[Tensor, ...]:
        rows = len(inputs[0])
        torch.compiler.cudagraph_mark_step_begin()
        outputs = self._programs(*(_ordered(_padded(tensor, bucket)) for tensor in inputs))
        # A CUDA graph writes its next outputs into the same memory.
        return tuple(output[:rows].clone() if self._cuda else output[:rows] for output in outputs)


def _padded(tensor: Tensor, rows: int) -> Tensor:
    """``tensor`` with its last row repeated up to ``rows``."""
    missing = rows - len(tensor)
    return torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])]) if missing else tensor


def _ordered(tensor: Tensor) -> Tensor:
    """A copy in the memory order that programs are compiled for: a single row may have any stride and be contiguous."""
    order = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.clone(memory_format=order)


def _signature(inputs: Sequence[Tensor]) -> Signature:
    """What a program is compiled for, apart from the rows."""
    return tuple((tuple(tensor.shape[1:]), tensor.dtype) for tensor in inputs)
