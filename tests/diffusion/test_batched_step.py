"""One noise step for a whole batch: where it is taken it equals diffusers' own, bit for bit."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from kandinsky_server.checkpoints.source import Sources
from kandinsky_server.diffusion.batched_step import BatchedStep
from kandinsky_server.diffusion.depth import DepthEstimator
from kandinsky_server.diffusion.model import Model
from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.startup.constants import complete
from kandinsky_server.startup.proof import proven_step
from kandinsky_server.testing import tiny
from kandinsky_server.testing.device import DEVICE

from tests.diffusion.trajectories import KINDS, default_scheduler, load, make, outputs_of, with_scheduler

CPU = torch.device("cpu")
COMPANY: list[dict[str, Any]] = [
    {"steps": 3, "scale": 4.0},
    {"steps": 20, "scale": 1.0},
    {"steps": 7, "scale": 9.5},
    {"steps": 5, "scale": 1.0},
    {"steps": 33, "scale": 1.3},
]
"""Neighbours at other timesteps, with other guidance or none; they end one by one."""


def proven(stage: Any) -> BatchedStep | None:
    """The step of the checkpoint's own scheduler."""
    return proven_step(stage, default_scheduler(stage))


def assert_equal(own: Any, together: Any) -> None:
    assert own.step == together.step
    assert torch.equal(own.latents, together.latents)
    shown = own.snapshot(), together.snapshot()
    assert shown[0] is shown[1] is None or torch.equal(*shown)
    assert own.latents.dtype == together.latents.dtype


def run_both_ways(stage: Any, step: BatchedStep, options: list[dict[str, Any]]) -> None:
    """Each trajectory alone by the library's step, and all of them together, on the same outputs."""
    draw = torch.Generator().manual_seed(7)
    pairs = [
        tuple(make(stage, together, seed=seed, **each) for together in (None, step))
        for seed, each in enumerate(options)
    ]
    for pair in pairs:
        for trajectory in pair:
            trajectory.start()
    while pairs:
        outputs = [outputs_of(own, draw) for own, _ in pairs]
        for (own, together), output in zip(pairs, outputs, strict=True):
            for mine, other in zip(own.inputs(), together.inputs(), strict=True):
                assert torch.equal(mine, other)
            own.advance(output)
        step.advance([together for _, together in pairs], outputs)
        for own, together in pairs:
            assert_equal(own, together)
        pairs = [pair for pair in pairs if pair[0].step < pair[0].step_count]


@pytest.mark.parametrize("kind", KINDS)
def test_alone_it_equals_diffusers_own(tiny_model: Path, kind: str) -> None:
    name, options = KINDS[kind]
    stage = load(tiny_model, name)
    step = proven(stage)
    assert step is not None
    run_both_ways(stage, step, [options])


@pytest.mark.parametrize("name", ["decoder", "inpaint", "controlnet", "prior"])
def test_in_company_it_equals_diffusers_own(tiny_model: Path, name: str) -> None:
    stage = load(tiny_model, name)
    step = proven(stage)
    assert step is not None
    kinds = [options for of, options in KINDS.values() if of == name]
    run_both_ways(stage, step, [*COMPANY, *kinds])


@pytest.mark.parametrize(
    "config",
    [
        {"clip_sample": True, "clip_sample_range": 2.0},
        {"prediction_type": "sample"},
        {"variance_type": "fixed_small_log"},
        {"steps_offset": 1},
        {"timestep_spacing": "trailing"},
        {"beta_schedule": "squaredcos_cap_v2"},
    ],
    ids=str,
)
def test_it_follows_the_schedulers_config(tiny_model: Path, config: dict[str, Any]) -> None:
    scheduler = diffusers.DDPMScheduler(**{**tiny.DDPM, "variance_type": "learned_range", **config})
    stage = with_scheduler(load(tiny_model, "decoder"), scheduler)
    step = proven(stage)
    assert step is not None
    run_both_ways(stage, step, COMPANY)


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.DDIMScheduler(**tiny.DDPM),
        diffusers.EulerDiscreteScheduler(),
        diffusers.DDPMScheduler(**{**tiny.DDPM, "prediction_type": "v_prediction"}),
        diffusers.DDPMScheduler(**tiny.DDPM, variance_type="learned_range", thresholding=True),
        diffusers.DDPMScheduler(**tiny.DDPM, variance_type="fixed_large"),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_other_schedulers_take_diffusers_own_step(
    tiny_model: Path, scheduler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage = with_scheduler(load(tiny_model, "decoder"), scheduler)
    with caplog.at_level(logging.INFO):
        assert proven(stage) is None
    assert "there is none for this scheduler" in caplog.text


def test_each_of_a_stages_schedulers_is_proven(tiny_model: Path) -> None:
    stage = load(tiny_model, "decoder")
    euler = NoiseScheduler(diffusers.EulerDiscreteScheduler())
    both = {"DDPMScheduler": default_scheduler(stage), "EulerDiscreteScheduler": euler}
    model = Model(Sources(), DepthEstimator(None, CPU), CostModel())
    model.add(replace(stage, noise_schedulers=both))
    complete(model, None)
    served = model.decoders["decoder"]
    assert list(served.noise_schedulers) == list(both)
    assert served.noise_scheduler() is served.noise_scheduler("DDPMScheduler")
    assert served.noise_scheduler().together is not None
    assert served.noise_scheduler("EulerDiscreteScheduler").together is None
    assert served.noise_scheduler("EulerDiscreteScheduler").template is euler.template


class Inexact(BatchedStep):
    """Wrong in the last bit of some."""

    def _table(self, step_count: int) -> torch.Tensor:
        return torch.nextafter(super()._table(step_count), torch.tensor(2.0))


def test_one_that_differs_in_a_bit_is_not_taken(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kandinsky_server.startup.proof.BatchedStep", Inexact)
    for name in ("decoder", "inpaint", "prior"):
        with caplog.at_level(logging.INFO):
            assert proven(load(tiny_model, name)) is None
        assert f"stage {name}: " in caplog.text
    assert caplog.text.count("it differs in bits") == 3


def test_a_lost_device_ends_the_start_and_is_not_a_step_that_fails(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(BatchedStep, "advance", lost)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        proven(load(tiny_model, "decoder"))


def test_where_half_precision_is_taken_it_is_equal_too(tiny_model: Path) -> None:
    """A CPU rounds otherwise there, so that the library's step may be all there is; on CUDA it is to be taken."""
    for name in ("decoder", "prior"):
        stage = load(tiny_model, name, torch.float16)
        step = proven(stage)
        assert step is not None or DEVICE.type == "cpu"
        if step is not None:
            run_both_ways(stage, step, COMPANY)


@pytest.mark.parametrize("name", ["decoder", "inpaint", "prior"])
def test_a_step_that_fails_has_moved_nobody(tiny_model: Path, name: str) -> None:
    """Neither latents nor random numbers: the library's step goes on as if nothing had been tried."""
    stage = load(tiny_model, name)
    step = BatchedStep(default_scheduler(stage).template, stage.device)
    draw = torch.Generator().manual_seed(3)
    pairs = [(make(stage, seed=seed), make(stage, step, seed=seed)) for seed in range(3)]
    for pair in pairs:
        for trajectory in pair:
            trajectory.start()
    outputs = [outputs_of(own, draw) for own, _ in pairs]
    broken = [*outputs[:2], (outputs[2][0][..., :-1],)]
    with pytest.raises(RuntimeError):
        step.advance([together for _, together in pairs], broken)
    for (own, together), output in zip(pairs, outputs, strict=True):
        assert together.step == 0
        own.advance(output)
        together.advance(output)
        assert_equal(own, together)


def test_a_result_does_not_hold_the_batch(tiny_model: Path) -> None:
    stage = load(tiny_model, "decoder")
    step = BatchedStep(default_scheduler(stage).template, stage.device)
    crew = [make(stage, step, seed=seed, steps=1) for seed in range(4)]
    for trajectory in crew:
        trajectory.start()
    draw = torch.Generator().manual_seed(3)
    step.advance(crew, [outputs_of(trajectory, draw) for trajectory in crew])
    for trajectory in crew:
        for tensor in (trajectory.result(), trajectory.snapshot()):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_a_last_step_adds_no_noise_whatever_the_variance(tiny_model: Path) -> None:
    """In fp16 a variance that a network predicts may overflow, and infinity times no noise is NaN."""
    stage = replace(load(tiny_model, "decoder"), dtype=torch.float16)
    step = BatchedStep(default_scheduler(stage).template, stage.device)
    trajectory = make(stage, step, seed=3, steps=3, scale=1.0)
    trajectory.start()
    draw = torch.Generator().manual_seed(7)
    while trajectory.step < trajectory.step_count:
        outputs = outputs_of(trajectory, draw)
        channels = trajectory.latents.shape[1]
        outputs[0][:, channels:] = 3.0 if trajectory.step + 1 == trajectory.step_count else 0.0
        step.advance([trajectory], [outputs])
    assert torch.isfinite(trajectory.latents).all()
