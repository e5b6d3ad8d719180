"""Take the shipped weights into the cache, so that training goes on from them where its own checkpoints are gone.

They are rounded to fp16 and averaged, and the optimizers start anew. A stage that was adopted has spent its whole
budget: give it more minutes than that.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from diffusers import PriorTransformer, UNet2DConditionModel, VQModel
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection, GLPNForDepthEstimation

from training import clip, decoder, loop

STEP = 10_000  # past every warm-up, and other batches than those of the first steps


def adopt(cache: Path, seed: int, shipped: Path, minutes: Mapping[str, float]) -> None:
    """Every stage that has no checkpoint in the cache; `minutes` are their budgets."""
    if not (cache / "tokenizer").exists():
        (cache / "tokenizer").mkdir(parents=True)
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(shipped / "prior" / "tokenizer" / name, cache / "tokenizer" / name)
    if not (cache / "movq-finished.pt").exists():
        movq = VQModel.from_pretrained(shipped / "decoder" / "movq")
        loop.save(cache / "movq-finished.pt", movq.state_dict())
    towers = {
        "text": CLIPTextModelWithProjection.from_pretrained(shipped / "prior" / "text_encoder"),
        "vision": CLIPVisionModelWithProjection.from_pretrained(shipped / "prior" / "image_encoder"),
    }
    heads = clip.ClipStage(seed, cache).modules.state_dict()  # they were not shipped
    keep(cache, "clip", heads | named(towers), minutes)
    keep(
        cache,
        "prior",
        named({"prior": PriorTransformer.from_pretrained(shipped / "prior" / "prior")}),
        minutes,
    )
    for kind in decoder.INPUTS:
        weights = named({"unet": UNet2DConditionModel.from_pretrained(shipped / kind / "unet")})
        trained = {name: tensor for name, tensor in weights.items() if "input_hint_block" not in name}
        keep(cache, kind, trained, minutes)
    keep(cache, "depth", named({"depth": GLPNForDepthEstimation.from_pretrained(shipped / "depth")}), minutes)


def named(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All weights, as a `ModuleDict` of the modules names them."""
    return {
        f"{name}.{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


def keep(cache: Path, stage: str, weights: dict[str, Tensor], minutes: Mapping[str, float]) -> None:
    """Write them as the stage's checkpoint, if it has none."""
    if not (cache / f"{stage}.pt").exists():
        state = {"live": weights, "ema": weights, "step": STEP, "spent": 60 * minutes[stage]}
        loop.save(cache / f"{stage}.pt", state)
