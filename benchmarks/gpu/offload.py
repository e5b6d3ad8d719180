"""With `--offload model`: how long it takes until another network's weights are on the device, and a picture so made."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers import PriorTransformer, UNet2DConditionModel
from kandinsky_backends.options import DTYPES
from kandinsky_server.diffusion.residency import Residency
from kandinsky_server.families.kandinsky22.networks import PriorNetwork, UnetNetwork

from benchmarks.decoding import seconds
from benchmarks.figure import Figure, at_most
from benchmarks.full_size import configs
from benchmarks.gpu.plan import Plan, Stand

SWITCHES = 6


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """In this process, then by a server."""
    stand.close()
    yield _switch(plan)
    plan.make_room()  # the server needs it
    yield _served(plan)


def _switch(plan: Plan) -> Figure:
    """The UNet comes and the prior leaves, as the engine has it."""
    device, config = torch.device(plan.device), configs(plan.shrink)
    residency = Residency(device)
    with torch.device(device):
        unet = UNet2DConditionModel(**config["unet"]).to(DTYPES[plan.dtype])
        prior = PriorTransformer(**config["prior"]).to(DTYPES[plan.dtype])
    residency.add("decoder", UnetNetwork(unet.to("cpu")))
    residency.add("prior", PriorNetwork(prior.to("cpu")))

    def bring(name: str) -> None:
        residency.ensure(name)
        if plan.cuda:
            torch.cuda.synchronize(device)

    samples = []
    for _ in range(SWITCHES):
        bring("prior")
        samples.append(seconds(lambda: bring("decoder")))
    size = sum(weight.nbytes for weight in unet.parameters()) / 2**30
    note = f"{size:.2f} GiB come; the first took {samples[0]:.3f} s"
    if not plan.cuda:
        samples, note = [], "a CPU has nowhere to switch to"
    return Figure("offload: switch of a UNet", at_most(0.2), samples[1:], " s", plan.command("offload"), note)


def _served(plan: Plan) -> Figure:
    """A prompt's picture, which every stage comes to the device for."""
    name, command = "offload: a prompt's picture from a server", plan.command("offload")
    if not plan.cuda:
        return Figure(name, None, [], " s", command, "the server refuses --offload model on a CPU")
    with plan.setting().ours("--offload", "model", backend="eager") as server, server.client() as client:
        took = [
            seconds(lambda: client.generate("a red circle", seed=1, step_count=plan.steps)) for _ in range(2)
        ]
        note = f"serving after {server.start_seconds:.1f} s; the first took {took[0]:.1f} s"
    return Figure(name, None, took[1:], " s", command, f"{note}; {plan.steps} steps")
