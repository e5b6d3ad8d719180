"""Networks as modules of their own: what they call is what the pipelines call."""

from __future__ import annotations

import pytest
import torch
from diffusers import VQModel
from kandinsky_server.families.kandinsky22.networks import MovqDecoderNetwork
from kandinsky_server.testing.device import DEVICE


@pytest.mark.parametrize("norm_type", ["spatial", "group"])
def test_movqs_decoder_is_called_as_diffusers_calls_it(norm_type: str) -> None:
    torch.manual_seed(0)
    movq = VQModel(
        block_out_channels=(32,), latent_channels=4, vq_embed_dim=4, num_vq_embeddings=8, norm_type=norm_type
    )
    movq.eval().requires_grad_(False).to(DEVICE)
    latents = torch.randn(2, 4, 8, 8, device=DEVICE)
    (made,) = MovqDecoderNetwork(movq)(latents)
    assert torch.equal(made, movq.decode(latents, force_not_quantize=True, return_dict=False)[0])
