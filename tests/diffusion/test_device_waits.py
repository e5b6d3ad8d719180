"""What a step of a trajectory asks of a device, counted on one that is pretended."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from kandinsky_server.diffusion.batched_step import BatchedStep

from tests.diffusion.pretended import CUDA, Tally, pretended_device
from tests.diffusion.trajectories import KINDS, default_scheduler, load, make, outputs_of


def step_of(stage: Any, trajectories: list[Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Tally, Tally]:
    """What the second step of trajectories asks of the device: for their inputs, and to move on."""
    draw = torch.Generator().manual_seed(0)
    with pretended_device(monkeypatch) as count:
        for trajectory in trajectories:
            trajectory.start()
        for _ in range(2):
            outputs = [
                tuple(each.to(CUDA) for each in outputs_of(trajectory, draw)) for trajectory in trajectories
            ]
            asked = count(lambda: [trajectory.inputs() for trajectory in trajectories])
            moved = count(partial(_advance, trajectories, outputs))
    assert [trajectory.step for trajectory in trajectories] == [2] * len(trajectories)
    return asked, moved


def _advance(trajectories: list[Any], outputs: list[Any]) -> None:
    if together := trajectories[0].together:
        together.advance(trajectories, outputs)
    else:
        for trajectory, output in zip(trajectories, outputs, strict=True):
            trajectory.advance(output)


@pytest.mark.parametrize("kind", KINDS)
def test_diffusers_own_step_makes_the_host_wait_for_its_noise_alone(
    tiny_model: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited 14 times while the timesteps were on the device."""
    name, options = KINDS[kind]
    stage = replace(load(tiny_model, name), device=CUDA)
    asked, moved = step_of(stage, [make(stage, **options)], monkeypatch)
    assert asked.syncs == []
    assert moved.syncs == ["copy to the device"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_for_a_whole_batch_never_makes_the_host_wait(
    tiny_model: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, options = KINDS[kind]
    stage = replace(load(tiny_model, name), device=CUDA)
    together = BatchedStep(default_scheduler(stage).template, CUDA)
    kernels = []
    for size in (1, 2, 8):
        crew = [make(stage, together, seed=seed, **options) for seed in range(size)]
        asked, moved = step_of(stage, crew, monkeypatch)
        assert asked.syncs == moved.syncs == []
        kernels.append(moved.kernels)
    assert kernels[0] == kernels[1] == kernels[2], "it takes as many kernels for eight as for one"
