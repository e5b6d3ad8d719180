"""What weights are, told by a number: to see whether somebody changed them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By the bytes of a number: one whose bits are taken for an integer. Sums of integers do not depend on their order."""


@torch.no_grad()
def checksums(module: nn.Module) -> dict[str, int]:
    """A number for each parameter and buffer, by name, which any other value would most likely make another.

    Where the numbers lie in memory (channels_last, strides) makes no difference. One pass over the weights on their
    device, and one read of the results.
    """
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    if not tensors:
        return {}
    sums = torch.stack([_sum(tensor) for tensor in tensors.values()])
    return dict(zip(tensors, sums.tolist(), strict=True))


def _sum(tensor: Tensor) -> Tensor:
    """The bits of each row of a tensor, added up and weighted by the row's place; int64, which may wrap."""
    bits = torch.atleast_1d(tensor.detach()).view(INTEGERS[tensor.element_size()])
    rows = bits.sum(dim=tuple(range(1, bits.ndim)), dtype=torch.int64) if bits.ndim > 1 else bits.long()
    return torch.sum(rows * torch.arange(1, len(rows) + 1, device=rows.device))
