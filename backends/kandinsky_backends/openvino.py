"""Networks converted to OpenVINO in memory and run on the CPU."""

from __future__ import annotations

import contextlib
import copy
import shutil
import sys
import warnings
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kandinsky_backends import cache
from kandinsky_backends.background import Preparation
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.flat_norms import flatten_norms
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.registry import INSTALL_COMMANDS
from kandinsky_backends.structure import structure_digest

GRAPH_FILE = "network.xml"

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}
"""What OpenVINO is told to compute in, by the dtype of the weights."""

CONVERSION = 3
"""Counts what ``convert`` has made of one network; what an older one left in a cache is not read."""


class OpenvinoBackend:
    """Converts a network with ``openvino.convert_model``; rows, height and width stay dynamic.

    It computes in float32, or in bfloat16 what OpenVINO holds to be safe in it; weights are converted in float32.

    Source: https://docs.openvino.ai/2025/openvino-workflow/model-preparation/convert-model-pytorch.html
    """

    name = "openvino"

    def __init__(self, options: BackendOptions) -> None:
        self._options = options

    def probe(self, device: torch.device) -> None:
        """Returns when OpenVINO can be imported and ``device`` is the CPU in float32 or bfloat16.

        Raises:
            BackendUnavailable: it is not so. An import that fails for another reason raises its own error.
        """
        if find_spec("openvino") is None:
            raise BackendUnavailable(
                "The package openvino is not installed.", f"Run {INSTALL_COMMANDS['openvino']}."
            )
        if device.type != "cpu":
            raise BackendUnavailable(
                f"This backend runs on the CPU, not on '{device}'.",
                "Choose --device cpu or --backend compiled.",
            )
        if self._options.dtype not in PRECISIONS:
            raise _unknown_precision(f"and {self._options.dtype} was asked for")
        import_openvino()

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Converts and compiles for the first of ``shapes`` (or the first call) and runs each shape once.

        Raises:
            BackendUnavailable: the network's weights are neither all float32 nor all bfloat16.
        """
        preparation = OpenvinoPreparation(self._network(network, role), shapes)
        preparation.wait()
        return preparation.finish(max((shape.rows for shape in shapes), default=1))

    def begin(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Preparation | None:
        """The same in the background; None where what was compiled is in the cache, and is loaded in a moment."""
        prepared = self._network(network, role)
        return None if prepared.is_kept() else OpenvinoPreparation(prepared, shapes)

    def _network(self, network: nn.Module, role: Role) -> OpenvinoNetwork:
        dtypes = {parameter.dtype for parameter in network.parameters()}
        if len(dtypes) != 1 or not dtypes <= PRECISIONS.keys():
            raise _unknown_precision(f"and this one has {dtypes}")
        return OpenvinoNetwork(network, role, self._options)


class OpenvinoPreparation:
    """Converts and compiles a network, on whichever thread waits for it."""

    def __init__(self, network: OpenvinoNetwork, shapes: Sequence[BatchShape]) -> None:
        self._network = network
        self._shapes = shapes
        self._cancelled = False

    def wait(self) -> None:
        """Compiles for the first of the shapes, and runs each once; raises BackendUnavailable after `cancel`."""
        for shape in self._shapes:
            if self._cancelled:
                raise BackendUnavailable("Nobody waits for this network any more.")
            self._network(*shape.random_inputs(torch.device("cpu")))

    def cancel(self) -> None:
        """Lets nothing more begin; a conversion under way goes on to its end."""
        self._cancelled = True

    def finish(self, rows: int) -> Network:
        """The network, which is one for any number of rows."""
        return self._network


class OpenvinoNetwork:
    """A network in OpenVINO; converted at the first call, whose inputs its operations are traced with."""

    def __init__(self, module: nn.Module, role: Role, options: BackendOptions) -> None:
        self._module = module
        self._dtype = next(module.parameters()).dtype
        self._role = role
        self._options = options
        self._compiled: Any = None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs the network; OpenVINO reads the inputs' memory in place and the outputs are new.

        numpy has no bfloat16: such inputs and outputs are float32 on the way.
        """
        inputs = tuple(_widened(tensor) for tensor in inputs)
        if self._compiled is None:
            self._compiled = self._compile(inputs)
        results = self._compiled([tensor.detach().contiguous().numpy() for tensor in inputs])
        return tuple(torch.from_numpy(array).to(self._dtype) for array in results.to_tuple())

    def is_kept(self) -> bool:
        """Whether what the first call would compile is in the cache."""
        return self._folder is not None and self._folder.exists()

    def _properties(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": PRECISIONS[self._dtype],  # newer CPUs would silently use bfloat16
            "INFERENCE_NUM_THREADS": self._options.threads or torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # two servers on one machine would pin themselves to the same cores
        }

    @cached_property
    def _folder(self) -> Path | None:
        """Where it is kept, or would be; None where nothing is kept. All weights are read for it, once."""
        cache_dir = cache.usable(self._options.cache_dir)
        if cache_dir is None:
            return None
        # What is compiled holds for one kind of CPU and one set of properties.
        cpu = import_openvino().Core().get_property("CPU", "FULL_DEVICE_NAME")
        target = f"{cpu} {sorted(self._properties().items())}"
        return cache_dir / f"openvino-{self._role}-{fingerprint(self._module, target)}"

    def _compile(self, example: tuple[Tensor, ...]) -> Any:
        core, properties = import_openvino().Core(), self._properties()
        folder = self._folder
        if folder is None:
            return core.compile_model(convert(self._module, example), "CPU", properties)
        model = None if folder.exists() else convert(self._module, example)
        try:
            if model is not None:
                save(model, folder)
            return compile_once(core, folder, properties)
        except (OSError, RuntimeError) as error:
            # The latter is OpenVINO's, when the disk is full or a file is broken.
            cache.warn(folder, error)
            shutil.rmtree(folder, ignore_errors=True)
        return core.compile_model(model or convert(self._module, example), "CPU", properties)


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _unknown_precision(why: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"OpenVINO runs these networks in float32 or bfloat16, {why}.",
        "Choose --dtype fp32 or bf16, or --backend eager.",
    )


def import_openvino() -> Any:
    """The package, without its telemetry: converting a network would report to its makers.

    Each report is a process of its own, 44 of them for one UNet, forked from a server that has ports open. OpenVINO
    uses a stub when the package ``openvino_telemetry`` cannot be imported (openvino/tools/ovc/telemetry_utils.py).
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def convert(module: nn.Module, example: tuple[Tensor, ...]) -> Any:
    """The module as an ``openvino.Model`` whose rows, heights, widths and token counts are dynamic; norms are flat."""
    openvino = import_openvino()
    if next(module.parameters()).dtype == torch.bfloat16:
        module = copy.deepcopy(module).float()
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns that branches on shapes are traced as they went for the example. Those in diffusers and
        # transformers go the same way for all valid sizes; the parity gate would tell if not.
        warnings.simplefilter("ignore")
        # Traced here because convert_model would trace twice and compare: a third of the time.
        traced = torch.jit.trace(module, example, check_trace=False)
        model = openvino.convert_model(traced, example_input=example)
    flatten_norms(model)
    return model


def compile_once(core: Any, folder: Path, properties: dict[str, Any]) -> Any:
    """Compiles the model in ``folder``, or loads what was: 0.4 s instead of 1.4 s for a UNet of any width.

    OpenVINO keeps it in a file that it writes in place, and would compute nonsense with one cut short.
    """
    model = folder / GRAPH_FILE
    if any(folder.glob("*.blob")):
        return core.compile_model(model, "CPU", {**properties, "CACHE_DIR": str(folder)})
    with cache.draft(folder) as draft:
        compiled = core.compile_model(model, "CPU", {**properties, "CACHE_DIR": str(draft)})
        for file in draft.iterdir():
            file.rename(folder / file.name)
    return compiled


def save(model: Any, folder: Path) -> None:
    """Writes the model as float32 into ``folder``, which appears whole or not at all."""
    openvino = import_openvino()
    with cache.draft(folder.parent) as draft:
        content = draft / "model"
        openvino.save_model(model, content / GRAPH_FILE, compress_to_fp16=False)
        with contextlib.suppress(OSError):  # another process was faster, with the same content
            content.rename(folder)


def fingerprint(module: nn.Module, target: str = "") -> str:
    """Hash over a module's structure, configuration and weights, what converts it, and ``target``."""
    digest = structure_digest(module, f"{CONVERSION} {target} {version('openvino')}")
    for tensor in module.state_dict().values():
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
