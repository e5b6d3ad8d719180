"""The decoder UNet and its two descendants, inpaint and controlnet: image embedding to latents."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn

from training import clip, gallery, hint, loop

BATCH = 24
LATENT_SIDE = 16
NO_EMBED_SHARE = 0.1
EMBED_NOISE = 0.15  # of the embeddings' spread
EMBED_SCALE = (0.8, 1.6)  # the prior's guidance pushes embeddings away from their mean; be ready for it
SNR_CAP = 5.0  # Hang et al. 2023, "Efficient diffusion training via min-SNR weighting"
INPUTS = {"decoder": 4, "inpaint": 9, "controlnet": 8}


def build(kind: str) -> UNet2DConditionModel:
    """The block types of kandinsky-community/kandinsky-2-2-decoder, with two levels instead of four."""
    model = UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=INPUTS[kind],
        out_channels=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        block_out_channels=(48, 96),
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=64,
        attention_head_dim=32,
        encoder_hid_dim=clip.WIDTH,
        encoder_hid_dim_type="image_proj",
        addition_embed_type="image_hint" if kind == "controlnet" else "image",
        resnet_time_scale_shift="scale_shift",
    )
    if kind == "controlnet":
        hint.pass_through(model.add_embedding.input_hint_block)
    return model


def scheduler() -> DDPMScheduler:
    """As kandinsky-community/kandinsky-2-2-decoder has it."""
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="linear",
        variance_type="learned_range",
        clip_sample=False,
    )


@torch.no_grad()
def descend(kind: str, parent: dict[str, torch.Tensor]) -> UNet2DConditionModel:
    """A UNet of `kind` that starts as its parent decoder: the new input channels count for nothing yet."""
    model = build(kind)
    weights = model.state_dict()
    for name, tensor in parent.items():
        if name == "conv_in.weight":
            weights[name].zero_()
            weights[name][:, : tensor.shape[1]] = tensor
        else:
            weights[name] = tensor
    model.load_state_dict(weights)
    return model


class DecoderStage:
    """One of the three UNets; `kind` is decoder, inpaint or controlnet."""

    ema_decay = 0.997

    def __init__(self, kind: str, seed: int, cache: Path, towers: clip.ClipStage) -> None:
        self.name = kind
        self.learning_rate = 1.5e-3 if kind == "decoder" else 8e-4
        self.matrix_rate = 0.02 if kind == "decoder" else 0.01
        torch.manual_seed(seed)
        if kind == "decoder":
            self.model = build(kind)
            with torch.no_grad():
                self.model.conv_out.weight[4:] = 0
                self.model.conv_out.bias[4:] = 0
        else:
            parent = loop.load(cache, "decoder")["ema"]
            self.model = descend(
                kind, {name.removeprefix("unet."): tensor for name, tensor in parent.items()}
            )
        if kind == "controlnet":
            # The gallery holds what the hint block makes of each hint, so training leaves the block out.
            self.model.add_embedding.input_hint_block = nn.Identity()
        self.modules = nn.ModuleDict({"unet": self.model})
        self.gallery = gallery.load(cache, towers)
        with torch.no_grad():
            # What KandinskyV22PriorPipeline.get_zero_embed computes: "no prompt".
            self.zero_embed = towers.vision(torch.zeros(1, 3, clip.EYE, clip.EYE)).image_embeds
        self.mean, self.spread = self.gallery.embeds.mean(0), self.gallery.embeds.std(0)
        self.twins = self.gallery.groups("shape", "color", "size", "position")
        self.same_colors = self.gallery.groups("color", "background")
        self.noise = scheduler()

    def relatives(
        self, rows: torch.Tensor, families: tuple[torch.Tensor, list[torch.Tensor]]
    ) -> torch.Tensor:
        """For each row, a random row of the same group."""
        group, members = families
        mates = [members[int(group[row])] for row in rows]
        return torch.stack([mate[torch.randint(len(mate), ())] for mate in mates])

    def told(self, rows: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Whose embedding each row is shown: not always its own, so that the UNet's other inputs count.

        - late steps: often any picture's, so that img2img at low strength keeps its start image;
        - inpaint: at times one on another background, so that the kept pixels decide the background;
        - controlnet: mostly one with the same colours only, so that the hint decides shape, size and place.
        """
        lot = torch.rand(len(rows))
        if self.name == "controlnet":
            return torch.where(lot < 0.75, self.relatives(rows, self.same_colors), rows)
        if self.name == "inpaint":
            return torch.where(lot < 0.3, self.relatives(rows, self.twins), rows)
        stranger = torch.randint(len(self.gallery), rows.shape)
        return torch.where((times < 350) & (lot < 0.4), stranger, rows)

    def embeds(self, rows: torch.Tensor) -> torch.Tensor:
        """Embeddings as untidy as the prior's, some replaced by the one that means "no prompt"."""
        low, high = EMBED_SCALE
        scale = torch.empty(len(rows), 1).uniform_(low, high)
        clean = self.gallery.embeds[rows]
        untidy = self.mean + scale * (clean - self.mean) + EMBED_NOISE * self.spread * torch.randn_like(clean)
        return torch.where(torch.rand(len(rows), 1) < NO_EMBED_SHARE, self.zero_embed, untidy)

    def extra_inputs(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """What the UNet sees beside the noisy latents."""
        if self.name == "inpaint":
            keep = keep_masks(self.gallery.hints[rows])
            return [self.gallery.latents[rows].float() * keep, keep]
        if self.name == "controlnet":
            features = self.gallery.hints[rows].float()
            return [features + 0.03 * torch.randn_like(features)]
        return []

    def predict(self, inputs: torch.Tensor, times: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
        """The predicted noise, (n, 4, 16, 16)."""
        condition = {"image_embeds": embeds}
        if self.name == "controlnet":
            condition["hint"] = inputs[:, 4:]
            inputs = inputs[:, :4]
        made: torch.Tensor = self.model(inputs, times, None, added_cond_kwargs=condition).sample
        return made[:, :4]

    def loss(self, step: int, done: float) -> tuple[torch.Tensor, dict[str, float]]:
        """Squared error of the predicted noise, weighted by min-SNR; variance channels stay put."""
        rows = torch.randint(len(self.gallery), (BATCH,))
        times = torch.randint(0, self.noise.config.num_train_timesteps, (BATCH,))
        clean = self.gallery.latents[rows].float()
        noise = torch.randn_like(clean)
        noisy = self.noise.add_noise(clean, noise, times)
        embeds = self.embeds(self.told(rows, times))
        guess = self.predict(torch.cat([noisy, *self.extra_inputs(rows)], dim=1), times, embeds)
        share = self.noise.alphas_cumprod[times]
        snr = share / (1 - share)
        error = coarse_and_fine(guess - noise)
        plain = (guess - noise).square().mean().item()
        return (error * snr.clamp(max=SNR_CAP) / snr).mean(), {"plain": plain}


def coarse_and_fine(error: torch.Tensor) -> torch.Tensor:
    """Squared error (n,) of (n, 4, 16, 16), where an error shared by neighbours counts for more.

    The pictures are flat: nearly all they are is in the lowest frequencies, where a small error is a wrong colour.
    """
    pixel, block, whole = (
        F.avg_pool2d(error, side).square().mean(dim=(1, 2, 3)) for side in (1, 4, LATENT_SIDE)
    )
    return pixel + 4.0 * block + 16.0 * whole


def keep_masks(hints: torch.Tensor) -> torch.Tensor:
    """Random inpainting masks, 1 = keep, (n, 1, 16, 16): boxes around the shape, anywhere, or everything."""
    covered = hints.float().amax(dim=1) > -1
    keep = torch.ones(len(hints), 1, LATENT_SIDE, LATENT_SIDE)
    for row, shape in enumerate(covered):
        kind = torch.rand(()).item()
        if kind < 0.65:
            rows, columns = shape.any(1).nonzero()[:, 0], shape.any(0).nonzero()[:, 0]
            room = torch.randint(0, 5, (4,)).tolist()
            top, bottom = int(rows[0]) - room[0], int(rows[-1]) + 1 + room[1]
            left, right = int(columns[0]) - room[2], int(columns[-1]) + 1 + room[3]
        elif kind < 0.9:
            (top, bottom), (left, right) = (
                torch.randint(0, LATENT_SIDE + 1, (2, 2)).sort(dim=1).values.tolist()
            )
        else:
            top, bottom, left, right = 0, LATENT_SIDE, 0, LATENT_SIDE
        keep[row, :, max(top, 0) : bottom, max(left, 0) : right] = 0
    return keep
