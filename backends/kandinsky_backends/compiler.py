"""Compiles a network's programs, as a process of its own: ``python -m kandinsky_backends.compiler``.

A compiler holds Python's lock for minutes, needs much memory and sometimes crashes; here none of that is a server's. The
process has the network's structure and no values of its weights, which no program depends on.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from kandinsky_backends import cache
from kandinsky_backends.program import CODE_FILE, KERNELS, MOST_ROWS, WEIGHTS_FILE, Plan, ordered
from kandinsky_backends.structure import unpack

NICENESS = 10
"""At full load the server's threads have nine tenths of a core that they share with a compiler."""


@dataclass(frozen=True)
class Order:
    """What to compile: ``packed`` is the module, ``plans`` its programs by the folder that each is written to."""

    packed: bytes
    plans: dict[Path, Plan]
    device: torch.device
    threads: int
    tf32: bool


def main() -> None:
    """Reads an order from standard input and ends when it is done, or at once when the input is closed."""
    order: Order = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_server, daemon=True).start()
    os.nice(NICENESS)
    torch.set_num_threads(order.threads)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = order.tf32
    module = unpack(order.packed, order.device).eval()
    for folder, plan in order.plans.items():
        try:
            compile_program(module, plan, order.device, folder)
        except Exception as error:
            traceback.print_exc()
            # The last line is what people are told.
            sys.exit(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")


def _end_with_server() -> None:
    # Not by Python's file, whose lock would be held when this process ends by itself.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    # With everything that it started: it leads a process group of its own.
    os.killpg(0, signal.SIGKILL)


@torch.no_grad()
def export(module: nn.Module, plan: Plan, device: torch.device) -> torch.export.ExportedProgram:
    """The graph of one call; raises what torch raises when the module does not export for all rows of ``plan``."""
    inputs = tuple(ordered(tensor) for tensor in plan.shape.random_inputs(device))
    rows = {0: torch.export.Dim("rows", min=1, max=MOST_ROWS)} if plan.any_rows else None
    return torch.export.export(module, inputs, dynamic_shapes=(rows,) * len(inputs))


@torch.no_grad()
def compile_program(module: nn.Module, plan: Plan, device: torch.device, folder: Path) -> None:
    """Writes the program of ``plan`` into ``folder``, which appears whole or not at all.

    The graph is exported with the rows as a symbol and weights as inputs, and compiled by inductor.

    Source: https://docs.pytorch.org/docs/stable/export.html and the docstring of torch._inductor.standalone_compile,
    which vLLM keeps its compiled models with.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.parent / KERNELS)
    from torch._guards import TracingContext, tracing
    from torch._inductor.standalone_compile import standalone_compile

    exported = export(module, plan, device)
    graph = exported.graph_module
    examples = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    with tracing(TracingContext(examples[-1].fake_mode)):
        code = standalone_compile(
            graph, examples, dynamic_shapes="from_tracing_context", options={}, aot=True
        )
    specs = exported.graph_signature.input_specs
    names = [spec.target for spec in specs if spec.target is not None]
    constants = {name: value for name, value in exported.constants.items() if isinstance(value, torch.Tensor)}
    with cache.draft(folder.parent) as draft:
        content = draft / "program"
        content.mkdir()
        code.save(path=str(content / CODE_FILE))
        torch.save((names, constants), content / WEIGHTS_FILE)
        with suppress(OSError):  # another process was faster, with the same content
            content.rename(folder)


if __name__ == "__main__":
    main()
