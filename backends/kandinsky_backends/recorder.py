"""Records what one call of a module launches on a CUDA device, to launch it again at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kandinsky_backends.eager import EagerNetwork

WARM_CALLS = 2
"""Eager calls before a recording: in the first, libraries choose kernels and make handles, which no graph may hold."""


@dataclass(frozen=True)
class Recording:
    """A call for fixed shapes and dtypes: ``replay`` reads ``inputs`` and writes ``outputs``, always the same memory."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    replay: Callable[[], None]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The call with other values; what it returns belongs to the caller."""
        for mine, given in zip(self.inputs, inputs, strict=True):
            mine.copy_(given)
        self.replay()
        return tuple(output.clone() for output in self.outputs)


class Recorder(Protocol):
    """What the backend `graphs` needs of a device; tests have one for a CPU."""

    def record(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> Recording:
        """Records a call of ``module`` for tensors like ``inputs``, which are left alone.

        Raises:
            Exception: whatever the module or the device raises.
        """
        ...

    def wait(self) -> None:
        """Returns once the device has done all that it was told to."""
        ...

    def release(self) -> None:
        """Gives the device back the memory of all recordings, none of which is held any more."""
        ...


class CudaRecorder:
    """CUDA graphs of one device. They share a memory pool, since none runs beside another: each may use it all.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self) -> None:
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None
        self._keeper: torch.cuda.CUDAGraph | None = None

    def record(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> Recording:
        """Calls ``module`` eagerly, then records a call, both on a stream of their own."""
        network = EagerNetwork(module)
        # The second brings the stream back even where the end of a capture that failed fails too.
        with torch.cuda.device(inputs[0].device), torch.cuda.stream(torch.cuda.current_stream()):
            if self._stream is None:
                # For good: cuBLAS keeps a workspace of megabytes for every stream that it has seen.
                self._stream = torch.cuda.Stream()
            if self._pool is None:
                self._make_pool()
            static = tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in inputs)
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_CALLS):
                    network(*static)
            graph = torch.cuda.CUDAGraph()
            with self._capture(graph):
                outputs = network(*static)
            return Recording(static, outputs, graph.replay)

    def wait(self) -> None:
        """Waits for every stream."""
        torch.cuda.synchronize()

    def release(self) -> None:
        """Lets the pool go, which keeps its memory from everybody else until then, and empties torch's cache."""
        self._pool = self._keeper = None
        torch.cuda.empty_cache()

    def _make_pool(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        # A pool ends with its last graph. This one, of nothing, stays (torch/_inductor/cudagraph_trees.py does the same).
        self._keeper = torch.cuda.CUDAGraph()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is empty
            with self._capture(self._keeper):
                pass

    def _capture(self, graph: torch.cuda.CUDAGraph) -> torch.cuda.graph:
        """Waits for the device, empties torch's cache, and records; other threads may use the device meanwhile."""
        return torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        )
