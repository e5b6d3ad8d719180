"""What is worked out once of a loaded model, on the thread that will run it, so that no request has to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from kandinsky_server.diffusion.model import Model
from kandinsky_server.diffusion.noise_scheduler import by_name
from kandinsky_server.diffusion.residency import Residency
from kandinsky_server.families.stages import IMAGE_ENCODER, PriorStage
from kandinsky_server.startup.proof import proven_step


def complete(model: Model, residency: Residency | None) -> None:
    """Finds out which noise schedulers step whole batches, and encodes a black image."""
    for stage in list(model.stages):
        schedulers = (
            replace(each, together=proven_step(stage, each)) for each in stage.noise_schedulers.values()
        )
        model.add(replace(stage, noise_schedulers=by_name(schedulers)))
    if model.prior:
        if residency:
            residency.ensure(IMAGE_ENCODER)
        model.zero_embedding = zero_embedding(model, model.prior)


@torch.no_grad()
def zero_embedding(model: Model, stage: PriorStage) -> NDArray[np.float32]:
    """The CLIP embedding [D] of a black image, as get_zero_embed of diffusers' KandinskyV22PriorPipeline makes it."""
    side = stage.clip_size
    black = torch.zeros((1, 3, side, side), device=stage.device, dtype=stage.dtype)
    (embedding,) = model.networks[IMAGE_ENCODER].call(black)
    return embedding[0].float().cpu().numpy().copy()
