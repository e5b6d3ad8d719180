"""The prior: a transformer that turns a caption into a CLIP image embedding (Ramesh et al. 2022)."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import PriorTransformer, UnCLIPScheduler
from torch import nn

from training import clip, loop, scenes

BATCH = 64
NO_CAPTION_SHARE = 0.1
PICTURES = 24_000
ODD = "odd"  # what captions call a colour without a word
ODD_SHARES = {(): 0.6, ("color",): 0.15, ("background",): 0.15, ("color", "background"): 0.1}


def build() -> PriorTransformer:
    """Three layers, 128 wide."""
    return PriorTransformer(
        num_attention_heads=4,
        attention_head_dim=32,
        num_layers=3,
        embedding_dim=clip.WIDTH,
        num_embeddings=clip.WINDOW,
    )


def scheduler() -> UnCLIPScheduler:
    """As kandinsky-community/kandinsky-2-2-prior has it."""
    return UnCLIPScheduler(variance_type="fixed_small_log", clip_sample_range=5.0, prediction_type="sample")


def load_clip(cache: Path, seed: int) -> clip.ClipStage:
    """The trained towers, averaged weights, frozen."""
    stage = clip.ClipStage(seed, cache)
    stage.modules.load_state_dict(loop.load(cache, "clip")["ema"])
    stage.modules.eval().requires_grad_(False)
    return stage


class PriorStage:
    """The prior, trained to predict clean embeddings from noisy ones and a caption."""

    name = "prior"
    learning_rate = 1e-3
    matrix_rate = 0.01
    ema_decay = 0.998

    def __init__(self, seed: int, cache: Path) -> None:
        self.seed = seed
        self.clip = load_clip(cache, seed)
        rng = random.Random(f"{seed}/prior")
        self.scenes = [scenes.random_scene(rng) for _ in range(PICTURES)]
        self.odd = rng.choices(list(ODD_SHARES), list(ODD_SHARES.values()), k=PICTURES)
        torch.manual_seed(seed)
        self.embeds = self.look(rng)
        torch.manual_seed(seed)
        self.model = build()
        with torch.no_grad():
            self.model.clip_mean.copy_(self.embeds.mean(0, keepdim=True))
            self.model.clip_std.copy_(self.embeds.std(0, keepdim=True))
        self.model.clip_mean.requires_grad_(False)
        self.model.clip_std.requires_grad_(False)
        self.noise = scheduler()
        self.modules = nn.ModuleDict({"prior": self.model})

    def said(self, row: int) -> scenes.Scene:
        """A training scene in the words of its caption."""
        return dataclasses.replace(self.scenes[row], **dict.fromkeys(self.odd[row], ODD))

    @torch.no_grad()
    def look(self, rng: random.Random) -> torch.Tensor:
        """The vision tower's embeddings of all training scenes, (PICTURES, WIDTH).

        Some have colours without a word. With the palette's alone, the prior learns that a red ring is never on white,
        where it never is in training, and answers a held-out caption with another background.
        """
        embeds = []
        for start in range(0, PICTURES, 200):
            rows = slice(start, start + 200)
            drawing = scenes.lay_out(self.scenes[rows], rng)
            color, background = (
                torch.tensor([name in odd for odd in self.odd[rows]]) for name in ("color", "background")
            )
            scenes.recolor(drawing, color, background)
            pictures = scenes.paint(drawing, scenes.masks(drawing, clip.EYE))
            embeds.append(self.clip.vision(clip.pixel_values(pictures)).image_embeds)
        return torch.cat(embeds)

    def loss(self, step: int, done: float) -> tuple[torch.Tensor, dict[str, float]]:
        """Squared error of the predicted clean embedding, in units of the embeddings' spread."""
        rng = random.Random(f"{self.seed}/{step}")
        rows = [rng.randrange(PICTURES) for _ in range(BATCH)]
        captions = [
            ""
            if rng.random() < NO_CAPTION_SHARE
            else scenes.caption(self.said(i), scenes.random_named(rng), rng)
            for i in rows
        ]
        ids, mask = clip.tokens(self.clip.tokenizer, captions)
        with torch.no_grad():
            text = self.clip.text(ids)
        clean = (self.embeds[rows] - self.model.clip_mean) / self.model.clip_std
        times = torch.randint(0, self.noise.config.num_train_timesteps, (BATCH,))
        noisy = self.noise.add_noise(clean, torch.randn_like(clean), times)
        guess = self.model(noisy, times, text.text_embeds, text.last_hidden_state, mask.bool())
        loss = F.mse_loss(guess.predicted_image_embedding, clean)
        return loss, {}
