"""Small random networks in Kandinsky 2.2's shape: what a backend is checked with where no model is loaded.

Each is built from the class and the block types of the official checkpoints
(kandinsky-community/kandinsky-2-2-*, ``config.json``), only narrow, and is called as the server calls its
own: positional tensors in, a tuple out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import PriorTransformer, UNet2DConditionModel, VQModel
from diffusers.models.embeddings import ImageHintTimeEmbedding
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from kandinsky_backends.base import BatchShape, NamedNetwork, Role

WIDTH = 64  # floats in an embedding, and in a text token
TOKENS = 77
LATENT = (4, 8, 8)  # of a 64x64 image
CLIP = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "projection_dim": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


class _Prior(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.prior = PriorTransformer(
            num_attention_heads=2, attention_head_dim=32, num_layers=2, embedding_dim=WIDTH
        )

    def forward(self, latents: Tensor, time: Tensor, embed: Tensor, states: Tensor, mask: Tensor) -> Any:
        return self.prior(latents, time, embed, states, mask, return_dict=False)


class _UNet(nn.Module):
    def __init__(self, hint: bool = False) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(
            sample_size=LATENT[1],
            in_channels=8 if hint else 4,
            out_channels=8,
            down_block_types=("ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 3),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=(*["SimpleCrossAttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"),
            block_out_channels=(32, 32, 64, 64),
            layers_per_block=1,
            encoder_hid_dim=WIDTH,
            encoder_hid_dim_type="image_proj",
            cross_attention_dim=32,
            attention_head_dim=32,
            resnet_time_scale_shift="scale_shift",
            norm_num_groups=8,  # 32 groups of 2 values, as 64 channels at 1x1 would make, are ill-conditioned
            addition_embed_type="image_hint" if hint else "image",
        )
        if hint:  # the server encodes hints once a request
            self.unet.add_embedding.input_hint_block = nn.Identity()

    def forward(self, sample: Tensor, timestep: Tensor, embed: Tensor, hint: Tensor | None = None) -> Any:
        condition = {"image_embeds": embed} if hint is None else {"image_embeds": embed, "hint": hint}
        return self.unet(sample, timestep, None, added_cond_kwargs=condition, return_dict=False)


class _HintEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = ImageHintTimeEmbedding(WIDTH, WIDTH).input_hint_block

    def forward(self, hint: Tensor) -> Any:
        return (self.block(hint),)


class _Movq(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.movq = VQModel(
            down_block_types=(*["DownEncoderBlock2D"] * 3, "AttnDownEncoderBlock2D"),
            up_block_types=("AttnUpDecoderBlock2D", *["UpDecoderBlock2D"] * 3),
            block_out_channels=(32, 32, 32, 32),
            layers_per_block=1,
            latent_channels=4,
            num_vq_embeddings=16,
            vq_embed_dim=4,
            norm_type="spatial",
        )


class _MovqDecoder(_Movq):
    def forward(self, latents: Tensor) -> Any:
        return (self.movq.decoder(self.movq.post_quant_conv(latents), latents),)


class _MovqEncoder(_Movq):
    def forward(self, pixels: Tensor) -> Any:
        return self.movq.encode(pixels, return_dict=False)


class _TextEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = CLIPTextModelWithProjection(
            CLIPTextConfig(vocab_size=32, bos_token_id=30, eos_token_id=31, **CLIP)
        )

    def forward(self, input_ids: Tensor) -> Any:
        output = self.encoder(input_ids=input_ids)
        return output.text_embeds, output.last_hidden_state


class _ImageEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        config = CLIPVisionConfig(image_size=64, patch_size=16, **CLIP)
        self.encoder = CLIPVisionModelWithProjection(config)

    def forward(self, pixel_values: Tensor) -> Any:
        return (self.encoder(pixel_values=pixel_values).image_embeds,)


def reference_network(role: Role, hint: bool = False) -> nn.Module:
    """The network of ``role``, float32 on the CPU, with the same weights each time.

    ``hint`` makes a UNet that takes the controlnet stage's fourth input.
    """
    builders = {
        Role.PRIOR: _Prior,
        Role.UNET: lambda: _UNet(hint),
        Role.MOVQ_DECODER: _MovqDecoder,
        Role.MOVQ_ENCODER: _MovqEncoder,
        Role.TEXT_ENCODER: _TextEncoder,
        Role.IMAGE_ENCODER: _ImageEncoder,
        Role.HINT_ENCODER: _HintEncoder,
    }
    network: nn.Module = builders[role]()
    _fill(network)
    return network.eval().requires_grad_(False)


def reference_shape(
    role: Role, rows: int, latent: tuple[int, int, int] = LATENT, hint: bool = False
) -> BatchShape:
    """The inputs of ``reference_network(role)``: ``latent`` is (4, height / 8, width / 8)."""
    pixels = (3, 8 * latent[1], 8 * latent[2])
    embed = (WIDTH,)
    samples: dict[Role, tuple[tuple[int, ...], ...]] = {
        Role.PRIOR: (embed, (), embed, (TOKENS, WIDTH), (TOKENS,)),
        Role.UNET: (latent, (), embed, latent) if hint else (latent, (), embed),
        Role.MOVQ_DECODER: (latent,),
        Role.MOVQ_ENCODER: (pixels,),
        Role.TEXT_ENCODER: ((TOKENS,),),
        Role.IMAGE_ENCODER: ((3, 64, 64),),
        Role.HINT_ENCODER: (pixels,),
    }
    dtypes = [torch.float32] * len(samples[role])
    if role is Role.PRIOR:
        dtypes[4] = torch.bool
    if role is Role.TEXT_ENCODER:
        dtypes[0] = torch.int64
    return BatchShape(rows, samples[role], tuple(dtypes))


def reference_networks() -> list[NamedNetwork]:
    """One network a role, and the controlnet stage's UNet, each with the shape of one row."""
    stages: Sequence[tuple[str, Role, bool]] = [
        ("prior", Role.PRIOR, False),
        ("prior", Role.TEXT_ENCODER, False),
        ("prior", Role.IMAGE_ENCODER, False),
        ("decoder", Role.UNET, False),
        ("decoder", Role.MOVQ_DECODER, False),
        ("decoder", Role.MOVQ_ENCODER, False),
        ("controlnet", Role.UNET, True),
        ("controlnet", Role.HINT_ENCODER, False),
    ]
    return [
        NamedNetwork(stage, role, reference_network(role, hint), (reference_shape(role, 1, hint=hint),))
        for stage, role, hint in stages
    ]


@torch.no_grad()
def _fill(network: nn.Module) -> None:
    """Draws every parameter so that signals keep their size; where they fade, differences would hide."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            parameter.copy_(noise * 1.5 / math.sqrt(parameter[0].numel()))
        else:
            parameter.copy_(0.1 * noise + ("norm" in name and name.endswith("weight")))
