"""MoVQ: the autoencoder whose latents the decoder draws in (diffusers VQModel with norm_type "spatial")."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from diffusers import VQModel
from diffusers.models.attention_processor import SpatialNorm
from torch import nn

from training import scenes

LATENT_NOISE = (
    0.08  # added to the latents in training, relative to their spread, so that small errors stay small
)
CODES = 256


def build() -> VQModel:
    """Four levels, so one latent for 8x8 pixels; SpatialNorm fixes the groups at 32, so the least width."""
    return VQModel(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=1,
        latent_channels=4,
        vq_embed_dim=4,
        num_vq_embeddings=CODES,
        sample_size=scenes.CANVAS,
        norm_type="spatial",
    )


def pictures(rng: random.Random, count: int, side: int) -> torch.Tensor:
    """Windows of `side` pixels of scenes, (count, 3, side, side) in [-1, 1]; a fifth have free colours."""
    drawing = scenes.lay_out([scenes.random_scene(rng) for _ in range(count)], rng)
    free = torch.rand(count) < 0.2
    scenes.recolor(drawing, free, free)
    drawing.radius = drawing.radius * torch.where(free, torch.empty(count).uniform_(0.7, 1.3), 1.0)
    drift = torch.randn(count, 2) * drawing.radius[:, None] * 0.6
    corner = (drawing.center + drift - side / 2).clamp(0, scenes.CANVAS - side)
    mask = scenes.masks(drawing, side, corner, span=side)
    return scenes.paint(drawing, mask) * 2 - 1


def difference(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1 + 2 MSE + L1 of the gradients: flat colours stay flat and edges sharp."""
    error = made - wanted
    slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + slopes


class MovqStage:
    """Both halves, from scratch."""

    name = "movq"
    learning_rate = 1.2e-3
    matrix_rate = 0.02
    ema_decay = 0.99

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        self.model = build()
        self.modules = nn.ModuleDict({"movq": self.model})

    def loss(self, step: int, done: float) -> tuple[torch.Tensor, dict[str, float]]:
        """Crops around shapes, with whole frames among them: rarely at first, every other time at the end."""
        rng = random.Random(f"{self.seed}/{step}")
        whole = rng.random() < 0.1 + 0.4 * done
        wanted = pictures(rng, 2, scenes.CANVAS) if whole else pictures(rng, 8, scenes.CANVAS // 2)
        latents = self.model.encode(wanted).latents
        spread = latents.detach().std(dim=(0, 2, 3), keepdim=True)
        noisy = latents + LATENT_NOISE * spread * torch.randn_like(latents)
        made = self.model.decode(noisy, force_not_quantize=True).sample
        keep_small = 1e-3 * latents.square().mean()
        psnr = -10 * torch.log10((made.detach() - wanted).square().mean() / 4).item()
        return difference(made, wanted) + keep_small, {"psnr": psnr, "spread": spread.mean().item()}


@torch.no_grad()
def normalise(model: VQModel, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Make latents have mean 0 and std 1 by changing weights only; pictures stay what they were.

    z' = (z - mean) / std goes into quant_conv; z = std z' + mean into all that reads z: post_quant_conv
    and the 1x1 convolutions of every SpatialNorm (which see z upsampled by repetition, so the fold is exact).
    """
    model.quant_conv.weight.div_(std[:, None, None, None])
    model.quant_conv.bias.sub_(mean).div_(std)
    readers = [model.post_quant_conv]
    for module in model.modules():
        if isinstance(module, SpatialNorm):
            readers += [module.conv_y, module.conv_b]
    for reader in readers:
        reader.bias.add_(reader.weight[:, :, 0, 0] @ mean)
        reader.weight.mul_(std[None, :, None, None])


@torch.no_grad()
def fit_codebook(model: VQModel, latents: torch.Tensor, rounds: int = 12) -> None:
    """k-means over the vectors of `latents` (n, 4, h, w).

    Kandinsky decodes with force_not_quantize, so only callers who quantise on purpose meet the codes.
    """
    vectors = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    vectors = vectors[torch.randperm(len(vectors))[:40_000]]
    codes = vectors[:CODES].clone()
    for _ in range(rounds):
        nearest = torch.cdist(vectors, codes).argmin(1)
        sums = torch.zeros_like(codes).index_add_(0, nearest, vectors)
        counts = torch.bincount(nearest, minlength=CODES)[:, None]
        codes = torch.where(counts > 0, sums / counts.clamp(min=1), codes)
    model.quantize.embedding.weight.copy_(codes)


@torch.no_grad()
def finish(model: VQModel, seed: int) -> dict[str, float]:
    """Fold the latents' statistics in and fit the codebook; returns the reconstruction's PSNR in dB."""
    torch.manual_seed(seed)
    rng = random.Random(f"{seed}/finish")
    drawing = scenes.lay_out([scenes.random_scene(rng) for _ in range(256)], rng)
    wanted = scenes.paint(drawing, scenes.masks(drawing, scenes.CANVAS)) * 2 - 1
    latents = torch.cat([model.encode(batch).latents for batch in wanted.split(16)])
    normalise(model, latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3)))
    latents = torch.cat([model.encode(batch).latents for batch in wanted.split(16)])
    fit_codebook(model, latents)
    made = torch.cat(
        [model.decode(batch, force_not_quantize=True).sample for batch in latents[:64].split(16)]
    )
    return {"psnr_db": -10 * torch.log10(F.mse_loss(made, wanted[:64]) / 4).item()}
