"""With `--offload model`: how long it takes until another network's weights are on the device."""

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
    """The UNet comes and the prior leaves, as the engine has it; in this process."""
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
    yield Figure("offload: switch of a UNet", at_most(0.2), samples[1:], " s", plan.command("offload"), note)
