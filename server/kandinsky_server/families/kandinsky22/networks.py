"""The networks of Kandinsky 2.2 as modules with one calling convention: tensors in, a tuple of tensors out.

Every input and output has the rows as its leading dimension, timesteps are float32 (diffusers casts them so itself), so
that any backend can take any of them.
"""

from __future__ import annotations

from typing import Any

from kandinsky_backends.skeleton import share_weights
from torch import Tensor, nn


class PriorNetwork(nn.Module):
    """diffusers' PriorTransformer."""

    def __init__(self, prior: Any) -> None:
        super().__init__()
        self.prior = prior

    def forward(
        self, latents: Tensor, timestep: Tensor, text_embed: Tensor, text_states: Tensor, text_mask: Tensor
    ) -> tuple[Tensor]:
        """[B, D], [B], [B, D], [B, T, H], [B, T] bool -> predicted embedding [B, D]."""
        output = self.prior(
            latents,
            timestep=timestep,
            proj_embedding=text_embed,
            encoder_hidden_states=text_states,
            attention_mask=text_mask,
            return_dict=False,
        )
        return (output[0],)


class UnetNetwork(nn.Module):
    """diffusers' UNet2DConditionModel conditioned on an image embedding and, for the ControlNet stage, an encoded hint.

    There it encodes the hint itself, at every step again (ImageHintTimeEmbedding in diffusers/models/embeddings.py);
    here `HintEncoderNetwork` has done it.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        if takes_hint(unet):
            unet = share_weights(unet)
            unet.add_embedding.input_hint_block = nn.Identity()
        self.unet = unet

    def forward(
        self, sample: Tensor, timestep: Tensor, image_embed: Tensor, hint: Tensor | None = None
    ) -> tuple[Tensor]:
        """[B, C, h, w], [B], [B, D], optionally [B, 4, h, w] -> [B, 2 * latent channels, h, w]."""
        conditions = {"image_embeds": image_embed}
        if hint is not None:
            conditions["hint"] = hint
        output = self.unet(
            sample,
            timestep,
            encoder_hidden_states=None,
            added_cond_kwargs=conditions,
            return_dict=False,
        )
        return (output[0],)


class HintEncoderNetwork(nn.Module):
    """The layers of a ControlNet stage's UNet that see the hint alone."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.block = unet.add_embedding.input_hint_block

    def forward(self, hint: Tensor) -> tuple[Tensor]:
        """[B, 3, 8h, 8w] in [0, 1] -> [B, 4, h, w]."""
        return (self.block(hint),)


def takes_hint(unet: Any) -> bool:
    """Whether a UNet is a ControlNet stage's."""
    return hasattr(getattr(unet, "add_embedding", None), "input_hint_block")


class MovqDecoderNetwork(nn.Module):
    """The decoder of diffusers' VQModel, from latents that are not quantised.

    These are the layers that ``VQModel.decode(latents, force_not_quantize=True)`` calls
    (diffusers/models/autoencoders/vq_model.py). It also makes a loss of zeros on the CPU and sends it to the device,
    which would make this thread wait and cannot be part of a CUDA graph.
    """

    def __init__(self, movq: Any) -> None:
        super().__init__()
        self.movq = movq
        self.spatial = movq.config.norm_type == "spatial"

    def forward(self, latents: Tensor) -> tuple[Tensor]:
        """[B, 4, h, w] -> pixels in about [-1, 1], [B, 3, H, W]."""
        decoded = self.movq.decoder(self.movq.post_quant_conv(latents), latents if self.spatial else None)
        return (decoded,)


class MovqEncoderNetwork(nn.Module):
    """The encoder of diffusers' VQModel."""

    def __init__(self, movq: Any) -> None:
        super().__init__()
        self.movq = movq

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """Pixels in [-1, 1], [B, 3, H, W] -> latents [B, 4, h, w]."""
        return (self.movq.encode(pixels, return_dict=False)[0],)


class TextEncoderNetwork(nn.Module):
    """transformers' CLIPTextModelWithProjection."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids [B, T] int64 -> text embedding [B, D], last hidden state [B, T, H]."""
        output = self.encoder(input_ids)
        return output.text_embeds, output.last_hidden_state


class ImageEncoderNetwork(nn.Module):
    """transformers' CLIPVisionModelWithProjection."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixel_values: Tensor) -> tuple[Tensor]:
        """Processed pixels [B, 3, S, S] -> image embedding [B, D]."""
        return (self.encoder(pixel_values).image_embeds,)
