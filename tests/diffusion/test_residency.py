"""Offloading of the networks that are served: what the pretended device gives is what they gave before."""

from pathlib import Path

import torch
from kandinsky_backends.eager import use_math_attention
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.diffusion.residency import Residency
from kandinsky_server.families.kandinsky22.specs import movq_parts, unet_parts
from kandinsky_server.families.stages import DecoderStage

from tests.engine.accelerator import DEVICE, Accelerator, pointers


@torch.no_grad()
def test_a_stage_that_comes_and_goes_gives_the_same_outputs(tiny_model: Path) -> None:
    """The UNet and what encodes its hints are trees over one module, MoVQ's halves are one module."""
    checkpoints = Checkpoints(torch.device("cpu"), torch.float32)
    stage = checkpoints.load("controlnet", str(tiny_model / "controlnet"))
    assert isinstance(stage, DecoderStage)
    parts = [*unet_parts(stage), *movq_parts(stage)]
    inputs = {part.name: part.shapes[0](1).random_inputs(torch.device("cpu")) for part in parts}
    trees = {part.name: use_math_attention(part.module) for part in parts}
    expected = {name: tree(*inputs[name]) for name, tree in trees.items()}
    masters = [pointers(stage.unet), pointers(stage.movq)]

    accelerator = Accelerator(room=10_000)
    residency = Residency(DEVICE, accelerator.copy)
    for part in parts:
        residency.add(part.name, part.module)
    copied = []
    for name in [*trees, *reversed(trees)]:
        before = accelerator.copied
        residency.ensure(name)
        copied.append(accelerator.copied - before)
        # Not the same bits: a CPU's kernels go by where their operands lie.
        torch.testing.assert_close(trees[name](*inputs[name]), expected[name], atol=1e-5, rtol=0)
        assert all(accelerator.holds(trees[name])), name
    unet, hint, movq = (len(pointers(part.module)) for part in parts[:3])
    assert copied == [unet, hint, movq, 0, 0, 0, hint, unet]
    assert [pointers(stage.unet), pointers(stage.movq)] != masters
    residency.add("other", torch.nn.Linear(1, 1))
    residency.ensure("other")
    assert [pointers(stage.unet), pointers(stage.movq)] == masters
