"""Trajectories of one step: the encoders, MoVQ and depth estimation, batched like everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kandinsky_server.diffusion.host_copy import HostCopy
from kandinsky_server.diffusion.prior import TextCondition

T = TypeVar("T")


class SingleStep(Generic[T]):
    """One network call for one row.

    ``inputs`` makes the row, ``keep`` begins to make the result of the row of outputs, which are views of a batch, and
    what it returns ends that; all run on the engine's thread.
    """

    rows = 1
    step_count = 1

    def __init__(
        self,
        inputs: Callable[[], tuple[Tensor, ...]],
        keep: Callable[[tuple[Tensor, ...]], Callable[[], T]],
    ) -> None:
        self.step = 0
        self._make_inputs = inputs
        self._keep = keep

    def start(self) -> None:
        """Has nothing to draw."""

    def inputs(self) -> tuple[Tensor, ...]:
        """The row."""
        return self._make_inputs()

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        """Keeps the outputs."""
        self._finish = self._keep(outputs)
        self.step = 1

    def snapshot(self) -> Tensor | None:
        """There is nothing between start and end to show."""
        return None

    def checkpoint(self) -> None:
        """There is nothing between start and end to go on from."""
        return

    def result(self) -> T:
        """What was made of the outputs."""
        return self._finish()


def _on_device(outputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """The first output stays where it is."""
    # The view would keep the whole batch alive. In rows, as a checkpoint's latents are: convolutions round by layout.
    output = outputs[0].clone(memory_format=torch.contiguous_format)
    return lambda: output


def _on_host(outputs: tuple[Tensor, ...]) -> Callable[[], NDArray[Any]]:
    """The first output's row, as it is."""
    return HostCopy(outputs[0][0]).values


def text_encode(
    token_ids: NDArray[np.int64], mask: NDArray[np.bool_], device: torch.device
) -> SingleStep[TextCondition]:
    """Token ids [T] to a prompt's condition."""

    def keep(outputs: tuple[Tensor, ...]) -> Callable[[], TextCondition]:
        embed, states = (output.clone() for output in outputs)
        condition = TextCondition(embed, states, torch.from_numpy(mask)[None].to(device))
        return lambda: condition

    return SingleStep(
        lambda: (torch.from_numpy(token_ids)[None].to(device),),
        keep,
    )


def encode(pixels: NDArray[np.float32], device: torch.device, dtype: torch.dtype) -> SingleStep[Tensor]:
    """Pixels [3, H, W] to what an encoder makes of them, one row, on the device.

    Those of MoVQ's are in [-1, 1], and it makes latents [1, 4, h, w]; a hint's are in [0, 1], and ControlNet's UNet takes
    [1, 4, h, w].
    """
    return SingleStep(_row(pixels, device, dtype), _on_device)


def clip_encode(
    pixels: NDArray[np.float32], device: torch.device, dtype: torch.dtype
) -> SingleStep[NDArray[np.float32]]:
    """CLIP's processed pixels [3, S, S] to an embedding [D]."""

    def keep(outputs: tuple[Tensor, ...]) -> Callable[[], NDArray[np.float32]]:
        values = _on_host(outputs)
        return lambda: values().astype(np.float32)

    return SingleStep(_row(pixels, device, dtype), keep)


def _row(
    pixels: NDArray[np.float32], device: torch.device, dtype: torch.dtype
) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.from_numpy(pixels)[None].to(device, dtype),)


def movq_decode(latents: Tensor, device: torch.device) -> SingleStep[NDArray[Any]]:
    """Latents [1, 4, h, w] to pixels in about [-1, 1], [3, H, W], as `pixels.unit_pixels` takes them."""
    return SingleStep(lambda: (latents.to(device),), _on_host)


def depth_hint(image: NDArray[np.uint8]) -> SingleStep[NDArray[np.float32]]:
    """An RGB image [H, W, 3] to a depth hint in [0, 1], [3, H, W]."""
    return SingleStep(
        lambda: (torch.from_numpy(image)[None],),
        _on_host,
    )
