"""Which weights are on the device when they do not all fit: diffusers' model offload, network by network."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import nn

log = logging.getLogger(__name__)

Move = Callable[[nn.Module, torch.device], object]


def move_module(module: nn.Module, device: torch.device) -> None:
    """Moves a module's weights."""
    module.to(device)


class Residency:
    """Keeps one network on the device and the others in main memory.

    Like diffusers' ``enable_model_cpu_offload``: a network comes when it is called and the one before leaves. ``move``
    does the moving.
    """

    def __init__(self, device: torch.device, move: Move = move_module) -> None:
        self.device = device
        self.resident: str | None = None
        self._move = move
        self._modules: dict[str, nn.Module] = {}

    def add(self, name: str, module: nn.Module) -> None:
        """Registers a network whose weights are in main memory."""
        self._modules[name] = module

    def ensure(self, name: str) -> None:
        """Brings a network to the device, after taking the present one away. Unknown names stay where they are."""
        if name == self.resident or name not in self._modules:
            return
        if self.resident is not None:
            self._move(self._modules[self.resident], torch.device("cpu"))
            self.resident = None  # should the device have no room for the other
        self._move(self._modules[name], self.device)
        log.debug("%s is on %s", name, self.device)
        self.resident = name
