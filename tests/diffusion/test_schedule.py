"""How many steps there are, and which of them a strength leaves."""

import pytest
import torch
from diffusers import DDPMScheduler, HeunDiscreteScheduler, KandinskyV22Img2ImgPipeline
from kandinsky_server.diffusion.schedule import StepCounter, copy_scheduler

CPU = torch.device("cpu")


@pytest.mark.parametrize("strength", [0.01, 0.1, 0.3, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 10, 33, 100])
def test_strength_leaves_the_steps_that_the_pipeline_takes(steps: int, strength: float) -> None:
    template = DDPMScheduler()
    pipeline = KandinskyV22Img2ImgPipeline(unet=None, scheduler=DDPMScheduler(), movq=_no_movq())
    pipeline.scheduler.set_timesteps(steps)
    expected, count = pipeline.get_timesteps(steps, strength, CPU)
    _, timesteps = copy_scheduler(template, steps, strength)
    assert torch.equal(timesteps, expected)
    assert StepCounter(template)(steps, strength) == count == len(timesteps)


def _no_movq() -> torch.nn.Module:
    """The pipeline wants a MoVQ's config, and nothing else of it, to be made."""
    movq = torch.nn.Module()
    config = type("Config", (), {"block_out_channels": (1, 1, 1, 1), "latent_channels": 4})
    movq.config = config  # type: ignore[assignment]  # what is no tensor is an attribute as any other
    return movq


def test_a_scheduler_of_second_order_calls_the_network_twice_a_step() -> None:
    assert StepCounter(HeunDiscreteScheduler())(10) == 19


def test_the_template_stays_as_it_was() -> None:
    template = DDPMScheduler()
    before = template.timesteps.clone()
    scheduler, _ = copy_scheduler(template, 7, None)
    assert scheduler is not template
    assert torch.equal(template.timesteps, before)
