"""Holds a backend to eager on this machine: the answer, the time of a step, and the memory."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

import torch
from torch import Tensor

from kandinsky_backends.base import Backend, BackendUnavailable, BatchShape, NamedNetwork, Network
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.parity import Parity, compare, device_of, reference_outputs, tolerance
from kandinsky_backends.reference import reference_networks

GROUP = "kandinsky.networks"
TIMED_CALLS = 5


@dataclass(frozen=True)
class CheckResult:
    """What one network did for one row count.

    Attributes:
        parity: difference from eager; ``None`` when the backend failed.
        step_seconds: median time of a call.
        eager_seconds: the same in eager, measured in turns with it.
        peak_memory_bytes: most memory in use until then, see ``peak_memory_bytes``; eager's included.
        error: what the backend failed with; empty when it did not.
    """

    stage: str
    role: str
    rows: int
    parity: Parity | None = None
    step_seconds: float = 0.0
    eager_seconds: float = 0.0
    peak_memory_bytes: int = 0
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether the network ran and gave what eager gives."""
        return self.parity is not None and self.parity.passed


def networks_to_check(
    model: str | None, device: torch.device, dtype: torch.dtype = torch.float32
) -> Iterable[NamedNetwork]:
    """The networks of ``model`` (``None``: the server's default), or small random ones without the server.

    Raises:
        BackendUnavailable: ``model`` is given, and no package that loads models is installed; or, while they are
            taken, the model cannot be loaded.
    """
    loaders = entry_points(group=GROUP)
    for loader in loaders:
        networks: Iterable[NamedNetwork] = loader.load()(model, device, dtype)
        return networks
    if model is not None:
        raise BackendUnavailable(
            f"No package here can load '{model}'.", "Run `pip install kandinsky-server`."
        )
    return [_placed(named, device, dtype) for named in reference_networks()]


def _placed(named: NamedNetwork, device: torch.device, dtype: torch.dtype) -> NamedNetwork:
    """A small random network where and as it is to be checked."""
    shapes = tuple(
        replace(shape, dtypes=tuple(dtype if kind.is_floating_point else kind for kind in shape.dtypes))
        for shape in named.shapes
    )
    return replace(named, module=named.module.to(device, dtype), shapes=shapes)


def check(backend: Backend, networks: Iterable[NamedNetwork], rows: Sequence[int]) -> Iterator[CheckResult]:
    """Prepares each network for all ``rows`` and yields one result a row count, as soon as it is known."""
    for named in networks:
        remaining = list(rows)
        try:
            shapes = [replace(named.shapes[0], rows=count) for count in rows]
            expected = reference_outputs(named.module, shapes)
            prepared = backend.prepare(named.module, named.role, shapes)
            for shape, references in zip(shapes, expected, strict=True):
                yield _check_shape(backend, prepared, named, shape, references)
                remaining.remove(shape.rows)
        except Exception as error:  # the next network may do better
            message = f"{type(error).__name__}: {error}"
            for count in remaining:
                yield CheckResult(named.stage, named.role, count, error=message)


def _check_shape(
    backend: Backend,
    prepared: Network,
    named: NamedNetwork,
    shape: BatchShape,
    references: tuple[Tensor, ...],
) -> CheckResult:
    device = device_of(named.module)
    dtype = next(named.module.parameters()).dtype
    parity = compare(prepared, [references], [shape], device, tolerance(backend, dtype, device))
    inputs = shape.random_inputs(device)
    eager = EagerNetwork(named.module)
    seconds: dict[Network, list[float]] = {prepared: [], eager: []}
    for _ in range(TIMED_CALLS):
        for network, times in seconds.items():
            times.append(_time(network, inputs, device))
    medians = {network: statistics.median(times) for network, times in seconds.items()}
    return CheckResult(
        named.stage,
        named.role,
        shape.rows,
        parity,
        step_seconds=medians[prepared],
        eager_seconds=medians[eager],
        peak_memory_bytes=peak_memory_bytes(device),
    )


def _time(network: Network, inputs: tuple[Tensor, ...], device: torch.device) -> float:
    start = time.perf_counter()
    network(*inputs)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory in use so far: PyTorch's allocator on CUDA, else the resident set of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
