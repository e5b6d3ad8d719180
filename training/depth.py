"""A tiny depth estimator (transformers GLPN) for the scenes' own geometry: the shape is near, the ground far.

Brighter is nearer, as in MiDaS and DPT; the map is what the ControlNet takes as its hint.
"""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor

from training import scenes

BATCH = 12


def build() -> GLPNForDepthEstimation:
    """GLPN with one block a level."""
    return GLPNForDepthEstimation(
        GLPNConfig(
            num_encoder_blocks=4,
            depths=[1, 1, 1, 1],
            hidden_sizes=[16, 24, 32, 48],
            num_attention_heads=[1, 1, 2, 3],
            mlp_ratios=[2, 2, 2, 2],
            sr_ratios=[8, 4, 2, 1],
            decoder_hidden_size=16,
            max_depth=1,
            drop_path_rate=0.0,
            hidden_dropout_prob=0.0,
        )
    )


def image_processor() -> GLPNImageProcessor:
    """GLPN's own preparation of pictures."""
    return GLPNImageProcessor(size_divisor=32)


class DepthStage:
    """The depth estimator, trained on drawings and their masks."""

    name = "depth"
    learning_rate = 1e-3
    matrix_rate = 0.01
    ema_decay = 0.99

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        self.model = build()
        self.modules = nn.ModuleDict({"depth": self.model})

    def loss(self, step: int, done: float) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross-entropy to the drawn mask, on pictures half of which have colours the palette does not.

        The mask is mostly empty: with L1 the network settles on nothing at all.
        """
        rng = random.Random(f"{self.seed}/depth/{step}")
        drawing = scenes.lay_out([scenes.random_scene(rng) for _ in range(BATCH)], rng)
        free = torch.rand(BATCH) < 0.5
        scenes.recolor(drawing, free, free)
        mask = scenes.masks(drawing, scenes.CANVAS)
        pictures = scenes.paint(drawing, mask)
        guess = self.model(pictures + 0.02 * torch.randn_like(pictures)).predicted_depth
        loss = F.binary_cross_entropy(guess.clamp(1e-4, 1 - 1e-4), mask[:, 0])
        return loss, {"apart": F.l1_loss(guess.detach(), mask[:, 0]).item()}
