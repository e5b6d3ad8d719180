"""A device for offloaded weights, in main memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DEVICE = torch.device("meta")
"""Only a name: `Accelerator` keeps what is copied to it in main memory."""


class Accelerator:
    """Stands in for a device: ``room`` is how many tensors it holds; copies are told by where their data lies."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.copies: dict[int, Tensor] = {}
        self.copied = 0

    def copy(self, values: Tensor, device: torch.device) -> Tensor:
        assert device == DEVICE
        if len(self.copies) == self.room:
            raise torch.OutOfMemoryError("out of memory")
        copy = values.clone()
        self.copies[copy.data_ptr()] = values
        self.copied += 1
        return copy

    def holds(self, module: nn.Module) -> list[bool]:
        """Which of the module's weights are there."""
        return [tensor.data_ptr() in self.copies for tensor in tensors(module)]


def tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def pointers(module: nn.Module) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors(module)]
