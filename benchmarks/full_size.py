"""Kandinsky 2.2 at its real size with random weights: made where it is needed, since gigabytes cannot be carried.

Shapes are those of the official checkpoints (kandinsky-community/kandinsky-2-2-prior and -decoder, each part's
config.json): UNet 1,253 M parameters, prior 1,026 M, CLIP bigG 695 M and 1,845 M, MoVQ 68 M. Schedulers, tokenizer and
image processor are the toy model's. Pictures are noise, and take as long as any.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from diffusers import PriorTransformer, UNet2DConditionModel, VQModel
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

Config = dict[str, Any]

UNET: Config = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 8,
    "down_block_types": ("ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 3),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": (*["SimpleCrossAttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"),
    "block_out_channels": (384, 768, 1152, 1536),
    "layers_per_block": 3,
    "cross_attention_dim": 768,
    "attention_head_dim": 64,
    "encoder_hid_dim": 1280,
    "encoder_hid_dim_type": "image_proj",
    "addition_embed_type": "image",
    "addition_embed_type_num_heads": 64,
    "resnet_time_scale_shift": "scale_shift",
}
MOVQ: Config = {
    "block_out_channels": (128, 256, 256, 512),
    "down_block_types": (*["DownEncoderBlock2D"] * 3, "AttnDownEncoderBlock2D"),
    "up_block_types": ("AttnUpDecoderBlock2D", *["UpDecoderBlock2D"] * 3),
    "layers_per_block": 2,
    "latent_channels": 4,
    "num_vq_embeddings": 16384,
    "vq_embed_dim": 4,
    "norm_type": "spatial",
}
PRIOR: Config = {
    "num_attention_heads": 32,
    "attention_head_dim": 64,
    "num_layers": 20,
    "embedding_dim": 1280,
}
TEXT: Config = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
VISION: Config = {
    "hidden_size": 1664,
    "intermediate_size": 8192,
    "num_hidden_layers": 48,
    "num_attention_heads": 16,
    "projection_dim": 1280,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
}

WIDTH = 64
CLIP: Config = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": WIDTH,
}
SHRUNK: dict[str, Config] = {
    "unet": {
        "sample_size": 8,
        "block_out_channels": (32, 32, 64, 64),
        "layers_per_block": 1,
        "cross_attention_dim": 32,
        "attention_head_dim": 32,
        "encoder_hid_dim": WIDTH,
        "addition_embed_type_num_heads": 2,
        "norm_num_groups": 8,
    },
    "movq": {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "num_vq_embeddings": 16},
    "prior": {"num_attention_heads": 2, "attention_head_dim": 32, "num_layers": 2, "embedding_dim": WIDTH},
    "text": CLIP,
    "vision": CLIP | {"image_size": 56},
}
"""What makes the same networks small enough for a CPU."""


INPAINT: Config = {"in_channels": 9}
CONTROLNET: Config = {"in_channels": 8, "addition_embed_type": "image_hint"}
"""What the UNets of these stages have otherwise: they also see the picture and its mask, or a hint."""


def configs(shrink: bool) -> dict[str, Config]:
    """The configuration of each network."""
    full = {"unet": UNET, "movq": MOVQ, "prior": PRIOR, "text": TEXT, "vision": VISION}
    made = {name: config | SHRUNK[name] if shrink else config for name, config in full.items()}
    return made | {"inpaint": made["unet"] | INPAINT, "controlnet": made["unet"] | CONTROLNET}


def ensure(directory: Path, device: torch.device, dtype: torch.dtype, shrink: bool) -> Path:
    """Writes ``directory`` with the stages prior and decoder, unless it is there; drawn and cast on ``device``."""
    if directory.exists():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f"{directory.name}-draft-"))
    config = configs(shrink)
    toy = Path(str(files("kandinsky_toy")))
    torch.manual_seed(0)

    def keep(network: nn.Module, *path: str) -> None:
        network.to(dtype).save_pretrained(draft.joinpath(*path))  # type: ignore[operator]

    with torch.device(device):
        keep(PriorTransformer(**config["prior"]), "prior", "prior")
        keep(CLIPTextModelWithProjection(CLIPTextConfig(**config["text"])), "prior", "text_encoder")
        keep(CLIPVisionModelWithProjection(CLIPVisionConfig(**config["vision"])), "prior", "image_encoder")
        keep(UNet2DConditionModel(**config["unet"]), "decoder", "unet")
        keep(VQModel(**config["movq"]), "decoder", "movq")
    if device.type == "cuda":
        torch.cuda.empty_cache()
    for part in ("prior/tokenizer", "prior/image_processor", "prior/scheduler", "decoder/scheduler"):
        shutil.copytree(toy / part, draft / part)
    for stage in ("prior", "decoder"):
        shutil.copy(toy / stage / "model_index.json", draft / stage)
    side = config["vision"]["image_size"]
    size = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    _change(draft / "prior" / "tokenizer" / "tokenizer_config.json", {"model_max_length": 77})
    _change(draft / "prior" / "image_processor" / "preprocessor_config.json", size)
    draft.rename(directory)
    return directory


def _change(path: Path, settings: Config) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
