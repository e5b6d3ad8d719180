"""Write what was trained as diffusers folders: fp16 safetensors, MoVQ's weights once (in decoder/)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import (
    KandinskyV22ControlnetPipeline,
    KandinskyV22InpaintPipeline,
    KandinskyV22Pipeline,
    KandinskyV22PriorPipeline,
    UNet2DConditionModel,
    VQModel,
)
from torch import nn

from training import clip, decoder, depth, loop, movq, prior

M = TypeVar("M", bound=nn.Module)
PIPELINES = {
    "decoder": KandinskyV22Pipeline,
    "inpaint": KandinskyV22InpaintPipeline,
    "controlnet": KandinskyV22ControlnetPipeline,
}


def load_averaged(model: M, cache: Path, stage: str, key: str) -> M:
    """`model` with a stage's averaged weights, for use."""
    weights = loop.load(cache, stage)["ema"]
    trained = {k.removeprefix(f"{key}."): v for k, v in weights.items() if k.startswith(f"{key}.")}
    model.load_state_dict(model.state_dict() | trained)
    return model.eval().requires_grad_(False)


def load_movq(cache: Path, seed: int) -> VQModel:
    """The trained MoVQ, its latents of mean 0 and spread 1."""
    path, model = cache / "movq-finished.pt", movq.build().eval()
    if not path.exists():
        load_averaged(model, cache, "movq", "movq")
        print("movq:", movq.finish(model, seed))
        loop.save(path, model.state_dict())
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.requires_grad_(False)


def export_prior(cache: Path, seed: int, target: Path) -> None:
    """The prior with both CLIP towers, and the tokenizer in its old files too."""
    towers = prior.load_clip(cache, seed)
    pipeline = KandinskyV22PriorPipeline(
        prior=load_averaged(prior.build(), cache, "prior", "prior"),
        image_encoder=towers.vision,
        text_encoder=towers.text,
        tokenizer=towers.tokenizer,
        scheduler=prior.scheduler(),
        image_processor=clip.image_processor(),
    )
    pipeline.to(torch.float16).save_pretrained(target / "prior")
    for name in ("vocab.json", "merges.txt"):  # transformers 4 reads these
        shutil.copy(cache / "tokenizer" / name, target / "prior" / "tokenizer" / name)
    for tower in ("image_encoder", "text_encoder"):
        load_as_float32(target / "prior" / tower / "config.json")


def load_as_float32(config: Path) -> None:
    """Have transformers load these fp16 files as float32 unless asked otherwise, as diffusers does."""
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}, indent=2) + "\n")


def export_decoder(cache: Path, seed: int, target: Path, kind: str) -> None:
    """One of the three UNets; only the decoder keeps MoVQ's weights."""
    unet: UNet2DConditionModel = load_averaged(decoder.build(kind), cache, kind, "unet")
    pipeline = PIPELINES[kind](unet=unet, scheduler=decoder.scheduler(), movq=load_movq(cache, seed))
    pipeline.to(torch.float16).save_pretrained(target / kind)
    if kind != "decoder":
        (target / kind / "movq" / "diffusion_pytorch_model.safetensors").unlink()


def export_depth(cache: Path, target: Path) -> None:
    """The depth estimator, as transformers' pipeline loads it."""
    load_averaged(depth.build(), cache, "depth", "depth").half().save_pretrained(target / "depth")
    depth.image_processor().save_pretrained(target / "depth")
    load_as_float32(target / "depth" / "config.json")


def export(cache: Path, seed: int, target: Path) -> None:
    """Every stage that has a checkpoint in the cache."""
    if (cache / "prior.pt").exists():
        export_prior(cache, seed, target)
    for kind in PIPELINES:
        if (cache / f"{kind}.pt").exists():
            export_decoder(cache, seed, target, kind)
    if (cache / "depth.pt").exists():
        export_depth(cache, target)
