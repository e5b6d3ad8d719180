"""What the steps of DDPM and UnCLIP multiply tensors by, in numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDPMScheduler, UnCLIPScheduler
from torch import Tensor

COLUMNS = 6
"""Of a step: the roots of beta's and alpha's products, the shares of the clean and the present latents in the
mean, and two of the noise: the logarithms of the least and the largest variance where it is learned, else its standard
deviation twice."""


def has_coefficients(scheduler: Any) -> bool:
    """Whether `coefficients` knows this scheduler's class and how it is configured."""
    config = scheduler.config
    return (
        type(scheduler) in (DDPMScheduler, UnCLIPScheduler)
        and config.prediction_type in ("epsilon", "sample")
        and config.variance_type in ("learned_range", "fixed_small_log")
        and not config.get("thresholding")
    )


def coefficients(scheduler: Any) -> Tensor:
    """Each step's `COLUMNS` as float32 [S, 6], for a scheduler whose timesteps are set.

    Same expressions as in ``step`` and ``_get_variance`` of diffusers' scheduling_ddpm.py and scheduling_unclip.py, which
    takes them one timestep at a time.
    """
    unclip = isinstance(scheduler, UnCLIPScheduler)
    times = scheduler.timesteps
    after = torch.cat([times[1:], times[-1:] - 1 if unclip else torch.tensor([-1])])
    product = scheduler.alphas_cumprod[times]
    product_after = torch.where(after < 0, scheduler.one, scheduler.alphas_cumprod[after])
    rest, rest_after = 1 - product, 1 - product_after
    alpha = product / product_after
    beta = 1 - alpha
    if unclip:
        next_door = after == times - 1
        alpha = torch.where(next_door, scheduler.alphas[times], 1 - beta)
        beta = torch.where(next_door, scheduler.betas[times], beta)
    least = _one_by_one(torch.log, torch.clamp(rest_after / rest * beta, min=1e-20))
    if scheduler.config.variance_type == "learned_range":
        noise = least, _one_by_one(torch.log, beta)
    else:
        noise = (_one_by_one(torch.exp, 0.5 * least),) * 2
    # At timestep 0 no noise is added. Zero, since a variance that overflows would make NaN of no noise.
    noise = torch.where(times > 0, noise[0], 0.0), torch.where(times > 0, noise[1], 0.0)
    of_clean = product_after**0.5 * beta / rest
    of_present = alpha**0.5 * rest_after / rest
    return torch.stack([rest**0.5, product**0.5, of_clean, of_present, *noise], dim=1)


def _one_by_one(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """The function of each value: of many at once the last bit may be another, unlike that of sums and roots."""
    return torch.stack([function(value) for value in values])
