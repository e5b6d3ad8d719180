"""Networks compiled by torch's inductor, in a process of its own."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from kandinsky_backends import cache
from kandinsky_backends.background import Preparation
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.compiled_network import (
    Buckets,
    CompiledModule,
    CompiledNetwork,
    Signature,
    signature_of,
)
from kandinsky_backends.compiler import Order
from kandinsky_backends.compiler_process import CompilerProcess
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.graphs import GraphsBackend
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.parity import device_of
from kandinsky_backends.program import Code, Plan, Program
from kandinsky_backends.structure import pack
from kandinsky_backends.toolchain import require_triton

logger = logging.getLogger(__name__)

# What is called once a request, and not once a step, does not earn back its compilation.
COMPILED_ROLES = {Role.PRIOR, Role.UNET, Role.MOVQ_DECODER}

EXAMPLE_ROWS = 4
"""Of a program that takes any number of rows."""


class CompiledBackend:
    """A program for each sample shape of each network, for any number of rows unless buckets are asked for.

    Programs are made in another process, kept in the cache directory, and loaded from there: they depend on a
    network's structure and not on its weights. Until then eager can serve.

    On CUDA the programs' calls are recorded as CUDA graphs, as the backend ``graphs`` does it with eager's.

    Convolution weights are put into channels_last order in place once the programs are there, which changes no
    value: measured on a CPU, 2.5 times eager with it and 2.0 without.
    """

    name = "compiled"

    def __init__(self, options: BackendOptions) -> None:
        self._options = options
        self._codes: dict[Path, Code] = {}
        self._graphs = GraphsBackend(options)

    def probe(self, device: torch.device) -> None:
        """Returns when code can be generated for ``device``; raises BackendUnavailable otherwise."""
        if device.type != "cpu" and (device.type != "cuda" or not torch.cuda.is_available()):
            raise BackendUnavailable(
                f"torch's inductor is used here for cpu and cuda, and '{device}' is not usable as either.",
                "Choose --backend eager.",
            )
        if device.type == "cuda":
            require_triton()
        # The one that torch._inductor.cpp_builder takes, whose import takes seconds.
        elif shutil.which(os.environ.get("CXX", "g++")) is None:
            raise BackendUnavailable(
                "torch's inductor needs a C++ compiler and finds none.",
                "Install g++ (apt-get install g++), or point the variable CXX to one.",
            )

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Compiles ``network`` for batches of up to the most rows in ``shapes``: minutes, unless cached.

        Sample shapes that are not among ``shapes`` run eagerly, so that no request waits for a compiler.
        """
        if role not in COMPILED_ROLES:
            return EagerNetwork(network)
        preparation = self._preparation(network, role, shapes)
        preparation.wait()
        return preparation.finish(max((shape.rows for shape in shapes), default=1), shapes)

    def begin(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Preparation | None:
        """The same in the background; None where there is nothing to compile."""
        if role not in COMPILED_ROLES:
            return None
        preparation = self._preparation(network, role, shapes)
        return preparation if preparation.missing() else None

    def release(self) -> None:
        """Gives back the memory of the recordings."""
        self._graphs.release()

    def _preparation(
        self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]
    ) -> CompiledPreparation:
        folder = cache.usable(self._options.cache_dir) or _scratch()
        plans = _plans(network, shapes, self._options.buckets, folder)
        return CompiledPreparation(network, role, plans, self._codes, self._graphs)


class CompiledPreparation:
    """The programs of one network, from their plans to a network that runs them; ``codes`` are what is loaded already."""

    def __init__(
        self,
        module: nn.Module,
        role: Role,
        plans: dict[Path, Plan],
        codes: dict[Path, Code],
        graphs: GraphsBackend,
    ) -> None:
        self._module = module
        self._role = role
        self._device = device_of(module)
        self._plans = plans
        self._codes = codes
        self._graphs = graphs
        self._compiler = CompilerProcess()

    def missing(self) -> dict[Path, Plan]:
        """What is not compiled yet; the rest is loaded."""
        for folder in self._plans.keys() - self._codes.keys():
            if folder.exists():
                try:
                    self._codes[folder] = Code(folder)
                except Exception as error:  # a file is broken, or of another torch
                    cache.warn(folder, error)
                    shutil.rmtree(folder, ignore_errors=True)
        return {folder: plan for folder, plan in self._plans.items() if folder not in self._codes}

    def wait(self) -> None:
        """Compiles what is missing, and loads it.

        Raises:
            BackendUnavailable: the compiler failed, or what it made cannot be loaded.
        """
        missing = self.missing()
        if not missing:
            return
        logger.info("compiling %d programs", len(missing))
        tf32 = torch.backends.cuda.matmul.allow_tf32
        self._compiler.run(Order(pack(self._module), missing, self._device, torch.get_num_threads(), tf32))
        if self.missing():
            raise BackendUnavailable("What was compiled cannot be loaded again.")

    def cancel(self) -> None:
        """Ends the compiler."""
        self._compiler.close()

    def finish(self, rows: int, shapes: Sequence[BatchShape] = ()) -> Network:
        """Puts the weights into the programs' order, and times the buckets that ``rows`` rows need.

        On CUDA it records graphs for ``shapes``; others are recorded once they come often.
        """
        self._module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        by_sample: dict[Signature, dict[Plan, Program]] = {}
        for folder, plan in self._plans.items():
            program = self._codes[folder].with_weights(self._module)
            by_sample.setdefault(signature_of(plan.shape), {})[plan] = program
        programs = {sample: self._any_rows(found, rows) for sample, found in by_sample.items()}
        network = CompiledNetwork(self._module, self._role, programs)
        if self._device.type != "cuda":
            return network
        return self._graphs.prepare(CompiledModule(self._module, network), self._role, shapes)

    def _any_rows(self, programs: dict[Plan, Program], rows: int) -> Program:
        plan, program = next(iter(programs.items()))
        if plan.any_rows:
            return program
        of_rows = {plan.shape.rows: program for plan, program in programs.items()}
        needed = _counts(sorted(of_rows), rows)
        return Buckets({bucket: of_rows[bucket] for bucket in needed}, plan.shape, self._device)


def _plans(
    module: nn.Module, shapes: Sequence[BatchShape], buckets: Sequence[int] | None, parent: Path
) -> dict[Path, Plan]:
    """The programs that batches up to ``shapes`` need, by the folders in ``parent`` that they are kept in."""
    plans = {}
    most = max((shape.rows for shape in shapes), default=0)
    for sample in {signature_of(shape): shape for shape in shapes}.values():
        for rows in _counts(buckets, most) if buckets else [EXAMPLE_ROWS]:
            plan = Plan(BatchShape(rows, sample.samples, sample.dtypes), any_rows=not buckets)
            plans[plan.folder(parent, module, device_of(module))] = plan
    return plans


def _counts(buckets: Sequence[int], most: int) -> list[int]:
    """The buckets that batches of up to ``most`` rows need."""
    return [bucket for smaller, bucket in zip((0, *buckets), buckets, strict=False) if smaller < most]


@functools.cache
def _scratch() -> Path:
    """Where programs are kept that nobody wants to keep: gone when the process ends."""
    folder = tempfile.mkdtemp(prefix="kandinsky-programs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
