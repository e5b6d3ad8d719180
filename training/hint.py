"""The ControlNet's hint block, set by hand: it hands the depth map on at a quarter of its size.

diffusers fixes the block's layers (ImageHintTimeEmbedding: eight 3x3 convolutions with SiLU between, three of
stride 2). They can carry a map through exactly enough: far from zero SiLU is nearly a straight line, so each
layer adds an offset, and the next takes it off again. Two stride-2 layers average; the last
one sorts each 2x2 block of pixels into four channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

OFFSET = 4.0


@torch.no_grad()
def pass_through(block: nn.Sequential) -> None:
    """Set `block` so that it computes `gallery.hint_features` of the mean over its three input channels."""
    convolutions = [layer for layer in block if isinstance(layer, nn.Conv2d)]
    low, high = F.silu(torch.tensor([OFFSET, OFFSET + 1])).tolist()
    for number, layer in enumerate(convolutions):
        assert layer.bias is not None
        layer.weight.zero_()
        layer.bias.zero_()
        first, last = number == 0, number == len(convolutions) - 1
        gain, shift = (1.0, 0.0) if first else (1 / (high - low), -low / (high - low))
        if first:
            layer.weight[0, :, 1, 1] = 1 / 3
        elif number == 6:
            for quarter, (row, column) in enumerate([(1, 1), (1, 2), (2, 1), (2, 2)]):
                layer.weight[quarter, 0, row, column] = gain
        elif last:
            for quarter in range(4):
                layer.weight[quarter, quarter, 1, 1] = 2 * gain
        elif layer.stride == (2, 2):
            layer.weight[0, 0, 1:, 1:] = gain / 4
        else:
            layer.weight[0, 0, 1, 1] = gain
        used = 4 if number >= 6 else 1
        layer.bias[:used] = 2 * shift - 1 if last else shift + OFFSET
