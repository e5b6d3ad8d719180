"""Trajectories of one step: the encoders, MoVQ and depth estimation, batched like everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kandinsky_server.diffusion.prior import TextCondition
from kandinsky_server.errors import NonFinite

T = TypeVar("T")


class SingleStep(Generic[T]):
    """One network call for one row.

    ``inputs`` makes the row, ``finish`` turns the row of outputs into the result; both run on the engine's thread.
    """

    rows = 1
    step_count = 1

    def __init__(
        self,
        inputs: Callable[[], tuple[Tensor, ...]],
        finish: Callable[[tuple[Tensor, ...]], T],
    ) -> None:
        self.step = 0
        self._make_inputs = inputs
        self._finish = finish

    def start(self) -> None:
        """Has nothing to draw."""

    def inputs(self) -> tuple[Tensor, ...]:
        """The row."""
        return self._make_inputs()

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        """Keeps the outputs."""
        # A row of a batch is a view that would keep the whole batch alive.
        self._outputs = tuple(output.clone() for output in outputs)
        self.step = 1

    def snapshot(self) -> Tensor | None:
        """There is nothing between start and end to show."""
        return None

    def result(self) -> T:
        """What ``finish`` makes of the outputs."""
        return self._finish(self._outputs)


def text_encode(
    token_ids: NDArray[np.int64], mask: NDArray[np.bool_], device: torch.device
) -> SingleStep[TextCondition]:
    """Token ids [T] to a prompt's condition."""
    return SingleStep(
        lambda: (torch.from_numpy(token_ids)[None].to(device),),
        lambda outputs: TextCondition(outputs[0], outputs[1], torch.from_numpy(mask)[None].to(device)),
    )


def encode(pixels: NDArray[np.float32], device: torch.device, dtype: torch.dtype) -> SingleStep[Tensor]:
    """Pixels [3, H, W] to what an encoder makes of them, one row.

    Those of CLIP's ``image_encoder`` are processed, and it makes an embedding [1, D]; those of MoVQ's are in [-1, 1], and
    it makes latents [1, 4, h, w]; a hint's are in [0, 1], and ControlNet's UNet takes [1, 4, h, w].
    """
    return SingleStep(
        lambda: (torch.from_numpy(pixels)[None].to(device, dtype),),
        lambda outputs: outputs[0],
    )


def movq_decode(latents: Tensor) -> SingleStep[NDArray[np.float32]]:
    """Latents [1, 4, h, w] to pixels in [0, 1], [H, W, 3]."""
    return SingleStep(lambda: (latents,), _to_pixels)


def depth_hint(image: NDArray[np.uint8]) -> SingleStep[NDArray[np.float32]]:
    """An RGB image [H, W, 3] to a depth hint in [0, 1], [3, H, W]."""
    return SingleStep(
        lambda: (torch.from_numpy(image)[None],),
        lambda outputs: outputs[0][0].numpy(),
    )


def _to_pixels(outputs: tuple[Tensor, ...]) -> NDArray[np.float32]:
    pixels = (outputs[0][0].float() * 0.5 + 0.5).clamp(0, 1)
    if not torch.isfinite(pixels).all():
        raise NonFinite("MoVQ made NaN or infinity; run the server in fp32")
    return pixels.permute(1, 2, 0).contiguous().cpu().numpy()
