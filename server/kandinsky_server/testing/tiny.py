"""A tiny Kandinsky 2.2 of seeded random weights: what most tests serve, as it is quick.

Every component is of the class, and configured in the way, that the official checkpoints have (UNet on
projected image embeddings, f = 8 MoVQ with spatial norms, learned-range DDPM, UnCLIP prior), only narrow and
shallow: one UNet call on two 64x64 rows takes some 20 ms on one CPU core. Its pictures are noise, but every
input changes them.
"""

import contextlib
import json
import math
import shutil
import uuid
import zlib
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import PriorTransformer, UnCLIPScheduler, UNet2DConditionModel, VQModel
from tokenizers.pre_tokenizers import ByteLevel

RECIPE = 2
"""Version of what `build` writes; raise it with every change, so that old caches are not used."""

WIDTH = 64
"""Floats in an image embedding, a prompt embedding and a text token."""

GAIN = 1.5
"""Standard deviation of a weight times the square root of its fan-in; makes up for what SiLU takes away."""

GAINS = {
    "encoder.conv_out.weight": GAIN,
    "conv_out.weight": 0.5,
    "conv_y.weight": 0.02,
    "conv_b.weight": 0.02,
    "proj_to_clip_embeddings": 0.7,
    "attn1.to_out": 4.0,
    "input_hint_block": 2.0,
}
"""Other gains, by a part of the name, the first that fits. Smaller for what leaves a network, so that neither
pixels nor embeddings run away, and for MoVQ's spatial norms, as latents that no training has tamed grow to some 30;
larger in the prior's attention, which takes in its latents, and for the hint, so that these are felt."""

WORDS = "a an the of in on and with cat dog red green blue big small circle square robot photo house sky"
"""Words that are one token each; all other text is spelled in bytes."""

PRIOR = {"num_attention_heads": 2, "attention_head_dim": 32, "num_layers": 2, "embedding_dim": WIDTH}
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "projection_dim": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 77,
}
VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "projection_dim": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 16,
}
UNET = {
    "sample_size": 8,
    "out_channels": 8,
    "down_block_types": ("ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 2),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": (*["SimpleCrossAttnUpBlock2D"] * 2, "ResnetUpsampleBlock2D"),
    "block_out_channels": (32, 64, 64),
    "norm_num_groups": 8,
    "layers_per_block": 1,
    "encoder_hid_dim": WIDTH,
    "encoder_hid_dim_type": "image_proj",
    "cross_attention_dim": 32,
    "attention_head_dim": 16,
    "resnet_time_scale_shift": "scale_shift",
}
MOVQ = {
    "down_block_types": (*["DownEncoderBlock2D"] * 3, "AttnDownEncoderBlock2D"),
    "up_block_types": ("AttnUpDecoderBlock2D", *["UpDecoderBlock2D"] * 3),
    "block_out_channels": (32, 32, 32, 32),
    "layers_per_block": 1,
    "latent_channels": 4,
    "vq_embed_dim": 4,
    "num_vq_embeddings": 16,
    "norm_type": "spatial",
}
UNCLIP = {
    "num_train_timesteps": 1000,
    "variance_type": "fixed_small_log",
    "prediction_type": "sample",
    "clip_sample": True,
    "clip_sample_range": 5.0,
}
DDPM = {
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "prediction_type": "epsilon",
}
DEPTH = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [16, 16, 32, 32],
    "num_attention_heads": [1, 1, 2, 2],
    "decoder_hidden_size": 16,
}

DECODERS = {
    "decoder": ("KandinskyV22Pipeline", {"in_channels": 4, "addition_embed_type": "image"}),
    "inpaint": ("KandinskyV22InpaintPipeline", {"in_channels": 9, "addition_embed_type": "image"}),
    "controlnet": ("KandinskyV22ControlnetPipeline", {"in_channels": 8, "addition_embed_type": "image_hint"}),
}
"""Decoder stage -> its pipeline class and what sets its UNet apart: inpaint adds the masked latents (4) and
the mask (1) to the input channels, controlnet the encoded hint (4)."""


def ensure(cache_dir: Path) -> Path:
    """The checkpoint inside `cache_dir`, built there now if it is not yet; safe in many processes at once."""
    directory = cache_dir / f"tiny-kandinsky-v{RECIPE}"
    if not directory.exists():
        with contextlib.suppress(FileExistsError):  # another process was faster, with the same weights
            build(directory)
    return directory


def build(directory: Path, seed: int = 0, decoder_scheduler: str = "DDPMScheduler") -> None:
    """Write `prior/ decoder/ inpaint/ controlnet/ depth/` under `directory`, whole or not at all.

    `seed` decides every weight. `decoder_scheduler` names the diffusers scheduler class of the last three
    pipelines. Raises FileExistsError if `directory` has something in it.
    """
    draft = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    draft.mkdir(parents=True)
    try:
        _write_prior(draft / "prior", seed)
        for stage in DECODERS:
            _write_decoder(draft / stage, seed, stage, decoder_scheduler)
        _write_depth(draft / "depth", seed)
        draft.rename(directory)
    except OSError as error:
        if directory.exists() and any(directory.iterdir()):
            raise FileExistsError(f"{directory} exists already") from error
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_prior(directory: Path, seed: int) -> None:
    tokenizer = _write_tokenizer(directory / "tokenizer")
    text = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **TEXT,
    )
    vision = transformers.CLIPVisionConfig(**VISION)
    components = {
        "prior": _filled(PriorTransformer(**PRIOR), seed),
        "text_encoder": _filled(transformers.CLIPTextModelWithProjection(text), seed),
        "image_encoder": _filled(transformers.CLIPVisionModelWithProjection(vision), seed),
        "scheduler": UnCLIPScheduler(**UNCLIP),
        "tokenizer": tokenizer,
        "image_processor": transformers.CLIPImageProcessor(
            size={"shortest_edge": VISION["image_size"]}, crop_size=VISION["image_size"]
        ),
    }
    _write_pipeline(directory, "KandinskyV22PriorPipeline", components)


def _write_decoder(directory: Path, seed: int, stage: str, scheduler: str) -> None:
    pipeline, options = DECODERS[stage]
    unet = _filled(UNet2DConditionModel(**UNET, **options), seed)
    movq = _filled(VQModel(**MOVQ), seed)
    components = {"unet": unet, "movq": movq, "scheduler": _decoder_scheduler(scheduler)}
    _write_pipeline(directory, pipeline, components)


def _decoder_scheduler(name: str) -> Any:
    """Only DDPM can use the variance that the UNet predicts. In another scheduler's config a `variance_type`
    would keep the pipelines from cutting it off (see `learned_range` in their pipeline_kandinsky2_2.py)."""
    if name == "DDPMScheduler":
        return diffusers.DDPMScheduler(**DDPM, variance_type="learned_range")
    return getattr(diffusers, name).from_config(DDPM)


def _write_depth(directory: Path, seed: int) -> None:
    """A GLPN (https://arxiv.org/abs/2201.07436), for `transformers.pipeline("depth-estimation")`."""
    network = transformers.GLPNForDepthEstimation(transformers.GLPNConfig(**DEPTH))
    _filled(network, seed).save_pretrained(directory)
    transformers.GLPNImageProcessor().save_pretrained(directory)


def _write_tokenizer(directory: Path) -> Any:
    """A byte-level BPE in CLIP's layout: 256 bytes, the same as ends of words, `WORDS`, start and end."""
    alphabet = sorted(ByteLevel.alphabet())
    merges: dict[tuple[str, str], str] = {}
    for word in WORDS.split():
        head, *rest = [*word[:-1], word[-1] + "</w>"]
        for letter in rest:
            merges[head, letter] = head = head + letter
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), *merges.values()]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    directory.mkdir(parents=True)
    (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")
    return transformers.CLIPTokenizer.from_pretrained(directory, model_max_length=77)


def _write_pipeline(directory: Path, pipeline: str, components: dict[str, Any]) -> None:
    index: dict[str, Any] = {"_class_name": pipeline, "_diffusers_version": diffusers.__version__}
    for name, component in components.items():
        component.save_pretrained(directory / name)
        index[name] = [type(component).__module__.split(".")[0], type(component).__name__.removesuffix("Pil")]
    (directory / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def _filled(network: Any, seed: int) -> Any:
    """`network` in eval mode with every parameter drawn anew, also those that libraries start at zero.

    Weights are normal with variance GAIN^2 / fan_in, so signals keep their size through any depth; norms and
    biases vary a little around one and zero. Only `seed` and the class count: equal networks, equal weights.
    """
    generator = torch.Generator().manual_seed(seed + zlib.crc32(type(network).__name__.encode()))
    for name, parameter in network.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1 and name != "clip_std":
            gain = next((gain for part, gain in GAINS.items() if part in name), GAIN)
            noise *= gain / math.sqrt(parameter[0].numel())
        else:
            noise = noise * 0.1 + name.endswith((".weight", "conv_y.bias", "clip_std"))
        parameter.data.copy_(noise)
    return network.eval()
