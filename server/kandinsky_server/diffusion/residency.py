"""Which weights are on the device when they do not all fit: diffusers' model offload, network by network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from itertools import chain

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

Copy = Callable[[Tensor, torch.device], Tensor]


def copy_to_device(values: Tensor, device: torch.device) -> Tensor:
    """A copy on the device. From pinned memory it is made beside what the CPU does next, in the stream's order."""
    return values.to(device, non_blocking=True)


class Weight:
    """A parameter or buffer. Its ``master`` stays in main memory for good; ``tensor`` shows that, or a copy of it.

    The tensor object itself is kept, and with it every module tree that shares it.
    """

    def __init__(self, tensor: Tensor, device: torch.device) -> None:
        self.tensor = tensor
        self.master = tensor.data.pin_memory() if device.type == "cuda" else tensor.data
        tensor.data = self.master

    def bring(self, device: torch.device, copy: Copy) -> None:
        """Puts a copy on the device, and uses that."""
        self.tensor.data = copy(self.master, device)

    def free(self) -> None:
        """Uses the master again: weights do not change, so nothing is copied back."""
        self.tensor.data = self.master


class Residency:
    """Keeps one network on the device and the others in main memory.

    Like diffusers' ``enable_model_cpu_offload``: a network comes when it is called and the one before leaves. Weights
    that both have, as the two halves of a MoVQ do, stay. ``copy`` does the copying.
    """

    def __init__(self, device: torch.device, copy: Copy = copy_to_device) -> None:
        self.device = device
        self.resident: str | None = None
        self._copy = copy
        self._networks: dict[str, list[Weight]] = {}
        self._weights: dict[int, Weight] = {}
        self._present: dict[int, Weight] = {}

    def add(self, name: str, module: nn.Module) -> None:
        """Registers a network whose weights are in main memory."""
        tensors = chain(module.parameters(), module.buffers())
        self._networks[name] = [self._weight(tensor) for tensor in tensors]

    def _weight(self, tensor: Tensor) -> Weight:
        if id(tensor) not in self._weights:
            self._weights[id(tensor)] = Weight(tensor, self.device)
        return self._weights[id(tensor)]

    def ensure(self, name: str) -> None:
        """Brings a network to the device, after taking the present one away. Unknown names stay where they are.

        Raises what ``copy`` raised, and then every network is in main memory.
        """
        if name == self.resident or name not in self._networks:
            return
        wanted = {id(weight.tensor): weight for weight in self._networks[name]}
        self._leave(self._present.keys() - wanted.keys())
        self.resident = None
        try:
            for key, weight in wanted.items():
                if key not in self._present:
                    weight.bring(self.device, self._copy)
                    self._present[key] = weight
        except BaseException:
            self._leave(self._present.keys())
            raise
        log.debug("%s is on %s", name, self.device)
        self.resident = name

    def _leave(self, keys: Collection[int]) -> None:
        for key in list(keys):
            self._present.pop(key).free()
