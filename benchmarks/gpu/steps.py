"""One call of each real network, eager against recorded graphs; and what a step of a batch costs beside it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from diffusers import PriorTransformer, UNet2DConditionModel, VQModel
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.device_errors import is_out_of_memory
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.graphs import GraphsBackend
from kandinsky_backends.options import DTYPES, BackendOptions
from kandinsky_backends.registry import get_backend
from kandinsky_client import EmbeddingPair, Kandinsky
from kandinsky_server.diffusion.model import Model
from kandinsky_server.families.kandinsky22 import networks
from kandinsky_server.testing.running import RunningServer
from torch import Tensor, nn

from benchmarks.figure import Figure, at_least, at_most
from benchmarks.full_size import configs
from benchmarks.gpu.plan import Plan, Stand
from benchmarks.load import Material

FASTER = "graphs"
ROWS = (1, 2, 4, 8, 16, 32)
FEW_ROWS = (2, 8)
"""Of the UNets that differ from the decoder's in little."""

MOVQ_ROWS = (1, 4)
TIMES = 5
WARM_CALLS = 16
"""A shape that was not foreseen is recorded once it has come often enough."""

FACTOR = 8
"""Pixels of a latent's side."""

TOKENS = 77
TOGETHER = 8


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """UNets, prior and MoVQ; then noise steps and waits, on the toy model: they depend on no size."""
    config, device, dtype = configs(plan.shrink), torch.device(plan.device), DTYPES[plan.dtype]
    rows, few = plan.scaled(ROWS, (1, 2)), plan.scaled(FEW_ROWS, (2,))
    width = config["prior"]["embedding_dim"]
    torch.manual_seed(0)

    def made(network: type[nn.Module], model: Any, of: str) -> nn.Module:
        with torch.device(device):
            return network(model(**config[of]).to(dtype)).eval().requires_grad_(False)

    latents = {side: (4, side // FACTOR, side // FACTOR) for side in plan.sizes}
    for name, of, counts, channels in (
        ("UNet", "unet", rows, 4),
        ("inpaint UNet", "inpaint", few, config["inpaint"]["in_channels"]),
        ("ControlNet UNet", "controlnet", few, 4),
    ):
        shapes: dict[str, BatchShape] = {}
        for side in plan.sizes:
            _, *sides = latents[side]
            hint = ((4, *sides),) if of == "controlnet" else ()
            sample = ((channels, *sides), (), (width,), *hint)
            types = (dtype, torch.float32, dtype, *[dtype] * len(hint))
            shapes |= {f"{_rows(count)} of {side}": BatchShape(count, sample, types) for count in counts}
        unet = made(networks.UnetNetwork, UNet2DConditionModel, of)
        yield from _compared(plan, name, Role.UNET, unet, shapes)
        del unet
        plan.make_room()
    samples = ((width,), (), (width,), (TOKENS, config["text"]["hidden_size"]), (TOKENS,))
    dtypes = (dtype, torch.float32, dtype, dtype, torch.bool)
    prior = {_rows(count): BatchShape(count, samples, dtypes) for count in rows}
    yield from _compared(
        plan, "prior", Role.PRIOR, made(networks.PriorNetwork, PriorTransformer, "prior"), prior
    )
    movq = {
        f"{_rows(count)} of {side}": BatchShape(count, (latents[side],), (dtype,))
        for side in plan.sizes
        for count in plan.scaled(MOVQ_ROWS, (1, 2))
    }
    decoder = made(networks.MovqDecoderNetwork, VQModel, "movq")
    yield from _compared(plan, "MoVQ decoder", Role.MOVQ_DECODER, decoder, movq)
    yield from _together(plan)


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count > 1)}"


def _compared(
    plan: Plan, name: str, role: Role, module: nn.Module, shapes: Mapping[str, BatchShape]
) -> Iterator[Figure]:
    """A figure a shape, and one for all of them: whether every bit is eager's."""
    device = torch.device(plan.device)
    backend, faster, why = _prepared(plan, module, role)
    different = []
    for label, shape in shapes.items():
        if backend is not None:
            backend.release()  # each shape has the device for itself
        title = f"{name}, {label}: eager over {FASTER}"
        bar = at_least(1.4) if f"{name}, {label}" == "UNet, 2 rows of 512" else None
        try:
            inputs = shape.random_inputs(device)
            eager, note = _timed(EagerNetwork(module), inputs, "eager")
            ratios = []
            if faster:
                quick, words = _timed(faster, inputs, FASTER)
                ratios, note = [eager / quick], f"{note}; {words}"
                if not torch.equal(faster(*inputs)[0], EagerNetwork(module)(*inputs)[0]):
                    different.append(label)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            ratios, note = [], "out of memory"
        yield Figure(title, bar, ratios, "x", plan.command("steps"), f"{note}{why}")
    words = ", ".join(different) if faster else why.lstrip("; ")
    found = [len(different)] if faster else []
    yield Figure(
        f"{name}: shapes where {FASTER} are not torch.equal to eager",
        at_most(0),
        found,
        "",
        plan.command("steps"),
        words,
    )


def _prepared(plan: Plan, module: nn.Module, role: Role) -> tuple[GraphsBackend | None, Network | None, str]:
    """The faster backend, and the network by it, or why there is none."""
    device = torch.device(plan.device)
    try:
        backend = get_backend(FASTER, BackendOptions(dtype=DTYPES[plan.dtype]), device)
        assert isinstance(backend, GraphsBackend)
        return backend, backend.prepare(module, role, []), ""
    except BackendUnavailable as error:
        return None, None, f"; no {FASTER}: {error.reason}"


@torch.no_grad()
def _timed(network: Network, inputs: tuple[Tensor, ...], name: str) -> tuple[float, str]:
    """Milliseconds of a call until its result is there, and until it was launched; and its memory."""
    cuda = inputs[0].is_cuda
    began = time.perf_counter()
    for _ in range(WARM_CALLS):  # the first choose kernels, and record
        network(*inputs)
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    first = time.perf_counter() - began
    whole, launched = [], []
    for _ in range(TIMES):
        began = time.perf_counter()
        network(*inputs)
        launched.append(1000 * (time.perf_counter() - began))
        if cuda:
            torch.cuda.synchronize()
        whole.append(1000 * (time.perf_counter() - began))
    words = (
        f"{name} {median(whole):.2f} ms, launched after {median(launched):.2f} ms, warm after {first:.2f} s"
    )
    return median(whole), words + (
        f", peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB" if cuda else ""
    )


def _together(plan: Plan) -> Iterator[Figure]:
    """What a server proved at its start, in the number type that is measured: half precision rounds otherwise.

    Then what each further trajectory adds to a step, by differences: of step counts, then of trajectories.
    """
    options: dict[str, Any] = {"device": plan.device, "dtype": plan.dtype, "backend": "eager"}
    with RunningServer(max_batch_rows=2 * TOGETHER, **options) as server, server.client() as client:
        yield _one_noise_step(plan, server.app.model)
        pair = Material.of(client).pair
        steps = plan.scaled((20, 40), (2, 4))
        alone, together = (_waits_a_step(client, pair, count, steps) for count in (1, TOGETHER))
    more = (together - alone) / (TOGETHER - 1)
    note = f"{alone:.2f} a step of one trajectory, {together:.2f} of {TOGETHER}"
    samples = [more] if plan.cuda else []
    if not plan.cuda:
        note = "counted on CUDA only"
    yield Figure(
        "syncs that a trajectory adds to a step", at_most(0), samples, "", plan.command("steps"), note
    )


def _one_noise_step(plan: Plan, model: Model) -> Figure:
    """Where it is not taken, each image's own step waits for its noise."""
    stages = {"prior": model.prior, **model.decoders}
    taken = {
        name: stage.noise_scheduler().together is not None
        for name, stage in stages.items()
        if stage is not None
    }
    note = f"{plan.dtype}: " + ", ".join(
        f"{name} {'taken' if one else 'NOT TAKEN'}" for name, one in taken.items()
    )
    name = "one noise step for the whole batch: stages where it is not taken"
    bar = at_most(0) if plan.cuda else None  # a CPU rounds half precision otherwise
    return Figure(name, bar, [list(taken.values()).count(False)], "", plan.command("steps"), note)


def _waits_a_step(
    client: Kandinsky, pair: EmbeddingPair, images: int, few_and_many: tuple[int, int]
) -> float:
    counts = []
    for steps in few_and_many:
        with _counted() as found:
            client.decode(pair, seed=1, image_count=images, step_count=steps)
        counts.append(sum("synchroniz" in str(one.message) for one in found))
    return (counts[1] - counts[0]) / (few_and_many[1] - few_and_many[0])


@contextmanager
def _counted() -> Iterator[list[warnings.WarningMessage]]:
    """Every warning of every thread; torch warns of each wait that it knows of."""
    cuda = torch.cuda.is_available()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        if cuda:
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            if cuda:
                torch.cuda.set_sync_debug_mode("default")
