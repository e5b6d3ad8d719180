"""What stands in for CUDA where tests have none: a recorder whose recordings behave as CUDA graphs of one memory pool."""

from __future__ import annotations

import math
import weakref

import torch
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.recorder import Recording
from torch import Tensor, nn


class PretendedRecorder:
    """Every recording reads and writes the same memory each time, and spoils what the others have written.

    ``room`` bounds the rows that can be recorded; ``live`` are the recordings that somebody still holds.
    """

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.recorded: list[tuple[int, ...]] = []
        self.released = 0
        self.live: weakref.WeakSet[_Graph] = weakref.WeakSet()
        self.half_made: weakref.ref[Tensor] | None = None

    def record(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> Recording:
        static = tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in inputs)
        if len(inputs[0]) > self.room:
            self._run_out(static[0])
        graph = _Graph(self, EagerNetwork(module), static)
        self.live.add(graph)
        self.recorded.append(tuple(inputs[0].shape))
        return Recording(static, graph.outputs, graph.replay)

    def _run_out(self, tensor: Tensor) -> None:
        """Fails with a tensor on its stack, as a forward that runs out of memory does."""
        activation = tensor.clone()
        self.half_made = weakref.ref(activation)
        raise torch.OutOfMemoryError(f"CUDA out of memory beside {activation.shape}")

    def wait(self) -> None: ...

    def release(self) -> None:
        assert self.half_made is None or self.half_made() is None, "it was still held"
        assert not self.live, "they were still held"
        self.released += 1


class _Graph:
    def __init__(
        self, recorder: PretendedRecorder, network: EagerNetwork, inputs: tuple[Tensor, ...]
    ) -> None:
        self._recorder, self._network, self._inputs = recorder, network, inputs
        # A capture computes nothing.
        self.outputs = tuple(torch.full_like(output, math.nan) for output in network(*inputs))

    def replay(self) -> None:
        for graph in self._recorder.live:
            for output in graph.outputs:
                output.fill_(math.nan)
        for output, computed in zip(self.outputs, self._network(*self._inputs), strict=True):
            output.copy_(computed)
