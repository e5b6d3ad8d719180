"""A network and the programs that were compiled of it, so that none is compiled during a request."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from kandinsky_backends.base import BatchShape, Role
from kandinsky_backends.buckets import BucketPlan
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.program import MOST_ROWS, Program
from kandinsky_backends.unprepared import UnpreparedCalls

TIMED_CALLS = 3

Signature = tuple[tuple[tuple[int, ...], torch.dtype], ...]


class CompiledNetwork:
    """A module with programs for some sample shapes, each for up to ``MOST_ROWS`` rows; it runs others eagerly."""

    def __init__(self, module: nn.Module, role: Role, programs: Mapping[Signature, Program]) -> None:
        self.unprepared = UnpreparedCalls(role)
        self._eager = EagerNetwork(module)
        self._programs = programs

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs the programs; nothing is compiled."""
        program = self._programs.get(signature(inputs))
        if program is None or len(inputs[0]) > MOST_ROWS:
            return self._run_eagerly(inputs)
        return program(*inputs)

    def _run_eagerly(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.unprepared.note(inputs)
        return self._eager(*inputs)


class CompiledModule(nn.Module):
    """A compiled network in a module's place, so that its calls can be recorded as the module's."""

    def __init__(self, module: nn.Module, network: CompiledNetwork) -> None:
        super().__init__()
        self.module = module
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs the network."""
        return self.network(*inputs)


class Buckets:
    """A program for any number of rows, made of one for each of some row counts: batches are split and padded."""

    def __init__(self, programs: Mapping[int, Program], shape: BatchShape, device: torch.device) -> None:
        """Times a call of each program on inputs of ``shape``, whatever its rows."""
        self._programs = dict(programs)
        self._plan = BucketPlan({rows: self._time(rows, shape, device) for rows in self._programs})

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs as many rows as ``inputs`` have, in the buckets that take least time together."""
        parts, start = [], 0
        for bucket in self._plan(len(inputs[0])):
            parts.append(self._call(tuple(tensor[start : start + bucket] for tensor in inputs), bucket))
            start += bucket
        return (
            parts[0] if len(parts) == 1 else tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))
        )

    def _call(self, inputs: tuple[Tensor, ...], bucket: int) -> tuple[Tensor, ...]:
        rows = len(inputs[0])
        outputs = self._programs[bucket](*(_padded(tensor, bucket) for tensor in inputs))
        return tuple(output[:rows] for output in outputs)

    @torch.no_grad()
    def _time(self, rows: int, shape: BatchShape, device: torch.device) -> float:
        inputs = BatchShape(rows, shape.samples, shape.dtypes).random_inputs(device)
        timings = []
        for _ in range(TIMED_CALLS):
            began = time.perf_counter()
            self._call(inputs, rows)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            timings.append(time.perf_counter() - began)
        return min(timings)


def _padded(tensor: Tensor, rows: int) -> Tensor:
    """``tensor`` with its last row repeated up to ``rows``."""
    missing = rows - len(tensor)
    return torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])]) if missing else tensor


def signature(inputs: Sequence[Tensor]) -> Signature:
    """What a program is compiled for, apart from the rows."""
    return tuple((tuple(tensor.shape[1:]), tensor.dtype) for tensor in inputs)


def signature_of(shape: BatchShape) -> Signature:
    """The signature of inputs of ``shape``."""
    return tuple(zip(shape.samples, shape.dtypes, strict=True))
