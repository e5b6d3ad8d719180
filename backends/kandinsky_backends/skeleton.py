"""A second module tree over the same weights."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def share_weights(module: ModuleT) -> ModuleT:
    """Copies the module tree, not the weights: the copy can be rewired and the original stays as it was.

    The dicts of parameters and buffers themselves are shared, so moving the original to another device (model
    offload) moves the copy too.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        memo[id(part._parameters)] = part._parameters
        memo[id(part._buffers)] = part._buffers
    return copy.deepcopy(module, memo)
