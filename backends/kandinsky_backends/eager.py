"""PyTorch as it is: the reference that every other backend is held to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.attention_processor import (
    Attention,
    AttnAddedKVProcessor,
    AttnAddedKVProcessor2_0,
    AttnProcessor,
    AttnProcessor2_0,
)
from torch import Tensor, nn

from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.options import Attention as AttentionKind
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.skeleton import share_weights

# diffusers' plain processors by the fused ones they stand in for (diffusers/models/attention_processor.py).
MATH_PROCESSORS = {AttnAddedKVProcessor2_0: AttnAddedKVProcessor, AttnProcessor2_0: AttnProcessor}


class EagerBackend:
    """Runs the module itself.

    With ``attention=sdpa`` the module is used as diffusers built it (``AttnAddedKVProcessor2_0`` in the
    UNets, ``AttnProcessor2_0`` in the prior and MoVQ); with ``attention=math`` or ``deterministic`` those
    give way to ``AttnAddedKVProcessor`` and ``AttnProcessor``. The CLIP encoders keep the attention
    transformers gave them.
    """

    name = "eager"

    def __init__(self, options: BackendOptions) -> None:
        self._math = options.deterministic or options.attention is AttentionKind.MATH

    def probe(self, device: torch.device) -> None:
        """Returns when ``device`` can hold a tensor; raises BackendUnavailable when it cannot."""
        try:
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise BackendUnavailable(
                f"PyTorch cannot use the device '{device}': {error}",
                "Install a PyTorch built for it (https://pytorch.org/get-started), or choose --device cpu.",
            ) from error

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Returns the module, called without gradients; ``role`` and ``shapes`` make no difference."""
        return EagerNetwork(use_math_attention(network) if self._math else network)


class EagerNetwork:
    """A module called without gradients."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs the module; a single tensor that it returns becomes a tuple of one."""
        outputs = self.module(*inputs)
        return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def use_math_attention(network: nn.Module) -> nn.Module:
    """A tree over the same weights whose diffusers attention is two matrix products and a softmax."""
    network = share_weights(network)
    for module in network.modules():
        if isinstance(module, Attention):
            plain = MATH_PROCESSORS.get(type(module.processor))
            if plain is not None:
                module.set_processor(plain())
    return network
