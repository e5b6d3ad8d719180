"""Checksums of weights: the same for the same values, however they lie in memory."""

from __future__ import annotations

import math

import pytest
import torch
from kandinsky_backends.checksum import checksums
from kandinsky_server.testing.device import DEVICE
from torch import Tensor, nn


def module(**tensors: Tensor) -> nn.Module:
    made = nn.Module()
    for name, tensor in tensors.items():
        made.register_buffer(name, tensor.to(DEVICE))
    return made


def checksum(tensor: Tensor) -> int:
    return checksums(module(tensor=tensor))["tensor"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_order_in_memory_does_not_count(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weights = (100 * torch.randn(8, 6, 3, 3)).to(dtype)
    assert checksum(weights) == checksum(weights.contiguous(memory_format=torch.channels_last))
    wide = torch.zeros(8, 12, 3, 3, dtype=dtype)
    wide[:, ::2] = weights
    assert checksum(weights) == checksum(wide[:, ::2])
    assert checksum(weights.mT.contiguous()) == checksum(weights.mT)


def test_one_bit_and_one_row_count() -> None:
    torch.manual_seed(0)
    weights = torch.randn(64, 64)
    nudged = weights.clone()
    nudged[5, 7] = torch.nextafter(nudged[5, 7], torch.tensor(math.inf))
    others = [nudged, weights.flip(0), weights.T, -weights, weights.half(), weights.reshape(32, 128)]
    assert len({checksum(tensor) for tensor in [weights, *others]}) == 7


def test_places_within_a_row_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the pieces that are added up at a time."""
    torch.manual_seed(0)
    weights = torch.randn(16, 8, 3, 3)
    swapped = weights.clone()
    swapped[:, [2, 5]] = weights[:, [5, 2]]
    others = [weights.flip(1), weights.flip(3), weights.mT, weights[:, torch.randperm(8)], swapped]
    found = [checksum(tensor) for tensor in [weights, *others]]
    assert len(set(found)) == 6
    monkeypatch.setattr("kandinsky_backends.checksum.PIECE", 100)
    assert [checksum(tensor) for tensor in [weights, *others]] == found


@pytest.mark.parametrize(
    "tensor", [torch.tensor(3.0), torch.tensor([True, False]), torch.zeros(0, 4), torch.tensor([math.nan])]
)
def test_any_tensor_has_one(tensor: Tensor) -> None:
    assert checksum(tensor) == checksum(tensor.clone())


def test_parameters_and_buffers_have_names() -> None:
    norm = nn.BatchNorm2d(2)
    assert checksums(norm).keys() == norm.state_dict().keys()
    assert checksums(nn.Identity()) == {}
