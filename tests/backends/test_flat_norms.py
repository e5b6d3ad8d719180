"""GroupNorms in OpenVINO, over flattened height and width."""

import pytest
import torch
from diffusers.models.attention_processor import SpatialNorm
from kandinsky_backends.base import Role
from kandinsky_backends.openvino import OpenvinoBackend, convert
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.reference import reference_network, reference_shape
from torch import Tensor, nn

from tests.support.extras import needs

pytestmark = needs("openvino")


class _ScaledAndShifted(nn.Module):
    """As in diffusers' ResnetBlock2D with ``scale_shift``."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = _norm()

    def forward(self, picture: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = embedding[:, :, None, None].chunk(2, dim=1)
        return nn.functional.silu(self.norm(picture) * (1 + scale) + shift)


class _Spatial(nn.Module):
    """As in MoVQ's decoder: scaled and shifted by convolutions of the latents."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = SpatialNorm(32, 4)  # with 32 groups of its own

    def forward(self, picture: Tensor, latents: Tensor) -> Tensor:
        return nn.functional.silu(self.norm(picture, latents))


class _BySum(nn.Module):
    """Scaled by what is no convolution with its bias, but looks like it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = _norm()
        self.convolution = nn.Conv2d(4, 32, 1, bias=False)

    def forward(self, picture: Tensor, latents: Tensor, others: Tensor) -> Tensor:
        product: Tensor = self.norm(picture) * (self.convolution(latents) + others)
        return product


class _UsedTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = _norm()

    def forward(self, picture: Tensor) -> Tensor:
        normalized: Tensor = self.norm(picture)
        return nn.functional.silu(normalized) * normalized


class _ByRows(nn.Module):
    """What follows is not of a shape that could be flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = _norm()

    def forward(self, picture: Tensor, columns: Tensor) -> Tensor:
        normalized: Tensor = self.norm(picture)
        return normalized * columns[:, :, None, :]


class _OfTokens(nn.Module):
    """As in diffusers' AttnAddedKVProcessor: three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = _norm()

    def forward(self, tokens: Tensor) -> Tensor:
        normalized: Tensor = self.norm(tokens)
        return normalized.transpose(1, 2)


def _norm() -> nn.GroupNorm:
    norm = nn.GroupNorm(4, 32)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm


@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (_ScaledAndShifted, [(32, 4, 6), (64,)]),
        (_Spatial, [(32, 8, 12), (4, 4, 6)]),
        (_BySum, [(32, 4, 6), (4, 4, 6), (32, 4, 6)]),
        (_UsedTwice, [(32, 4, 6)]),
        (_ByRows, [(32, 4, 6), (32, 6)]),
        (_OfTokens, [(32, 5)]),
    ],
)
def test_a_norm_and_what_follows_give_what_torch_gives(
    module: type[nn.Module], shapes: list[tuple[int, ...]]
) -> None:
    torch.manual_seed(0)
    network = module().eval().requires_grad_(False)
    prepared = OpenvinoBackend(BackendOptions(threads=1)).prepare(network, Role.UNET, [])
    for rows in (1, 3):
        inputs = tuple(torch.randn(rows, *shape) for shape in shapes)
        torch.testing.assert_close(prepared(*inputs)[0], network(*inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("role", [Role.UNET, Role.MOVQ_DECODER])
def test_all_of_a_network_are_flat(role: Role) -> None:
    inputs = reference_shape(role, 2).random_inputs(torch.device("cpu"))
    operations = convert(reference_network(role), inputs).get_ordered_ops()
    ranks = {
        (node.get_type_name(), node.get_output_partial_shape(0).rank.get_length()) for node in operations
    }
    assert {("MVN", 3), ("Swish", 3)} <= ranks
    assert not {("GroupNormalization", 3), ("GroupNormalization", 4), ("MVN", 4), ("Swish", 4)} & ranks
