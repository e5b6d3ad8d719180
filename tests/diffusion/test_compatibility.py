"""What a stage is stands in its configuration: a stage that requests could not use is refused without its weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from kandinsky_server.checkpoints.checkpoints import Checkpoints, scheduler
from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler, by_name
from kandinsky_server.diffusion.rehearsal import rehearse
from kandinsky_server.errors import CheckpointError
from kandinsky_server.settings import Settings
from kandinsky_server.startup.preflight import Preflight
from kandinsky_server.testing import tiny
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.diffusion.test_checkpoint import copy_of
from tests.diffusion.trajectories import default_scheduler, with_scheduler

UNET = "unet/config.json"
TEXT = "text_encoder/config.json"


@pytest.fixture
def checkpoints() -> Checkpoints:
    return Checkpoints(torch.device("cpu"), torch.float32)


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def refusal(checkpoints: Checkpoints, stage: str, source: Path) -> str:
    with pytest.raises(CheckpointError) as refused:
        checkpoints.sketch(stage, str(source))
    told = str(refused.value)
    assert told.startswith(f"stage {stage}: ")
    assert "\n" not in told
    return told


@pytest.mark.parametrize("given", tiny.DECODERS)
@pytest.mark.parametrize("flag", tiny.DECODERS)
def test_a_decoder_under_another_flag_is_told_the_flag(
    checkpoints: Checkpoints, tiny_model: Path, given: str, flag: str
) -> None:
    if given == flag:
        checkpoints.sketch(flag, str(tiny_model / given))
        return
    told = refusal(checkpoints, flag, tiny_model / given)
    assert f"{UNET} has addition_embed_type " in told
    assert told.endswith(f"; this is a checkpoint for --{given}")


def test_a_prior_and_a_decoder_that_are_swapped_are_told(checkpoints: Checkpoints, tiny_model: Path) -> None:
    for flag in tiny.DECODERS:
        assert refusal(checkpoints, flag, tiny_model / "prior").endswith("a prior: give it as --prior")
    assert refusal(checkpoints, "prior", tiny_model / "decoder").endswith("a decoder: give it as --decoder")


def test_a_model_a_part_and_a_file_are_no_stage(checkpoints: Checkpoints, tiny_model: Path) -> None:
    assert "give it as --model" in refusal(checkpoints, "decoder", tiny_model)
    part = tiny_model / "decoder" / "unet"
    assert f"it is part of {str(part.parent)!r}" in refusal(checkpoints, "decoder", part)
    file = part / "diffusion_pytorch_model.safetensors"
    assert "is a file and holds no model_index.json" in refusal(checkpoints, "decoder", file)


def test_a_prior_of_another_width_is_told(
    checkpoints: Checkpoints, tiny_model: Path, toy_model: Path
) -> None:
    checkpoints.sketch("prior", str(toy_model / "prior"))
    told = refusal(checkpoints, "decoder", tiny_model / "decoder")
    assert f"{UNET} has encoder_hid_dim 64, and the prior makes embeddings of 96 numbers" in told
    assert "--decoder and --prior must be of one model" in told


@pytest.mark.parametrize(
    ("stage", "file", "values", "complaint"),
    [
        ("prior", "tokenizer/tokenizer_config.json", {"model_max_length": 40}, "model_max_length 40"),
        (
            "prior",
            "image_processor/preprocessor_config.json",
            {"crop_size": 32, "size": {"shortest_edge": 32}},
            "makes pictures of 32x32, and image_encoder/config.json has image_size 64",
        ),
        ("decoder", UNET, {"_class_name": "ControlNetModel"}, "config.json is a ControlNetModel's"),
        ("prior", "prior/config.json", {"_class_name": "UNet2DModel"}, "config.json is a UNet2DModel's"),
    ],
)
def test_values_that_do_not_fit_are_named_with_their_file(
    checkpoints: Checkpoints,
    tiny_model: Path,
    tmp_path: Path,
    stage: str,
    file: str,
    values: dict[str, Any],
    complaint: str,
) -> None:
    source = copy_of(tiny_model / stage, tmp_path / stage)
    change(source / file, **values)
    told = refusal(checkpoints, stage, source)
    assert complaint in told
    assert str(source) in told
    assert file.split("/")[0] in told


def test_a_unet_of_kandinsky_2_1_is_told(checkpoints: Checkpoints, tiny_model: Path, tmp_path: Path) -> None:
    source = copy_of(tiny_model / "decoder", tmp_path / "decoder")
    options = {**tiny.UNET, "encoder_hid_dim_type": "text_image_proj", "cross_attention_dim": tiny.WIDTH}
    unet = UNet2DConditionModel(in_channels=4, addition_embed_type="text_image", **options)
    unet.save_pretrained(source / "unet")
    assert refusal(checkpoints, "decoder", source).endswith(
        f"{UNET} has encoder_hid_dim_type 'text_image_proj', and Kandinsky 2.2's decoders 'image_proj': this is a "
        "Kandinsky 2.1 UNet, which this server does not serve"
    )


def test_a_movq_may_be_borrowed_from_a_stage_that_is_still_on_the_hub(
    tiny_model: Path, tmp_path: Path
) -> None:
    inpaint = copy_of(tiny_model / "inpaint", tmp_path / "inpaint")
    (inpaint / "movq" / "diffusion_pytorch_model.safetensors").unlink()
    alone, beside = (
        Preflight(Settings(inpaint=str(inpaint), decoder=decoder, device="cpu", backend="eager"))
        for decoder in (None, "org/decoder")
    )
    for preflight in (alone, beside):
        preflight._checkpoints(None)
    assert "no decoder stage is loaded to borrow them from" in alone.problems[0]
    assert beside.problems == []
    assert "with the MoVQ of decoder" in dict(beside.findings)["inpaint"]


def test_a_tokenizer_without_configuration_or_with_too_many_words_is_told(
    checkpoints: Checkpoints, tiny_model: Path, tmp_path: Path
) -> None:
    source = copy_of(tiny_model / "prior", tmp_path / "prior")
    config = source / "tokenizer" / "tokenizer_config.json"
    original = config.read_text()
    config.unlink()
    assert "tokenizer/ holds no tokenizer_config.json" in refusal(checkpoints, "prior", source)
    config.write_text(json.dumps({k: v for k, v in json.loads(original).items() if k != "model_max_length"}))
    told = refusal(checkpoints, "prior", source)
    assert "prior/config.json has num_embeddings 77, and tokenizer/tokenizer_config.json" in told
    assert "model_max_length none" in told
    config.write_text(original)
    vocabulary = json.loads((source / "tokenizer" / "tokenizer.json").read_text())
    vocabulary["added_tokens"].append({**vocabulary["added_tokens"][0], "id": 9999, "content": "<|more|>"})
    (source / "tokenizer" / "tokenizer.json").write_text(json.dumps(vocabulary))
    told = refusal(checkpoints, "prior", source)
    assert "tokens, and text_encoder/config.json has vocab_size" in told


def test_parts_of_another_prior_are_told(checkpoints: Checkpoints, tiny_model: Path, tmp_path: Path) -> None:
    """Its networks are whole, and not all of one model."""
    prior = copy_of(tiny_model / "prior", tmp_path / "prior")
    other = CLIPVisionModelWithProjection(CLIPVisionConfig(**{**tiny.VISION, "projection_dim": 48}))
    other.save_pretrained(prior / "image_encoder")
    told = refusal(checkpoints, "prior", prior)
    assert "image_encoder/config.json has projection_dim 48, and prior/config.json embedding_dim 64" in told


@pytest.mark.parametrize(
    ("stage", "config", "rpc"),
    [
        ("prior", {"_class_name": "DDIMScheduler"}, "Prior"),
        ("prior", {"_class_name": "DDPMScheduler"}, "Prior"),
        ("prior", {"_class_name": "EulerDiscreteScheduler"}, "Prior"),
        ("decoder", {"_class_name": "FlowMatchEulerDiscreteScheduler", "variance_type": None}, "Decode"),
        ("inpaint", {"_class_name": "KarrasVeScheduler", "variance_type": None}, "Inpaint"),
        ("controlnet", {"_class_name": "ScoreSdeVeScheduler", "variance_type": None}, "ControlNet"),
        ("decoder", {"_class_name": "FlowMatchHeunDiscreteScheduler", "variance_type": None}, "Decode"),
        ("decoder", {"beta_start": 0.0, "beta_end": 0.0}, "Decode"),
        ("decoder", {"_class_name": "IPNDMScheduler", "variance_type": None}, "Img2Img"),
    ],
)
def test_a_scheduler_rehearses_what_its_requests_do(
    checkpoints: Checkpoints, tiny_model: Path, tmp_path: Path, stage: str, config: dict[str, Any], rpc: str
) -> None:
    source = copy_of(tiny_model / stage, tmp_path / stage)
    change(source / "scheduler" / "scheduler_config.json", **config)
    told = refusal(checkpoints, stage, source)
    name = config.get("_class_name", "DDPMScheduler")
    assert f"scheduler/scheduler_config.json makes a {name} that fails in {rpc}: " in told
    official = "UnCLIPScheduler" if stage == "prior" else "DDPMScheduler"
    assert name == official or told.endswith(f"official checkpoints of this stage have {official}")


@pytest.mark.parametrize(
    "name",
    [
        "DDPMScheduler",
        "DDIMScheduler",
        "DPMSolverMultistepScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "UniPCMultistepScheduler",
        "HeunDiscreteScheduler",
        "DPMSolverSinglestepScheduler",
        "PNDMScheduler",
        "LCMScheduler",
    ],
)
def test_schedulers_that_requests_can_use_pass(tiny_model: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "scheduler").mkdir()
    file = tmp_path / "scheduler" / "scheduler_config.json"
    shutil.copy(tiny_model / "decoder" / "scheduler" / file.name, file)
    change(file, _class_name=name, **({} if name == "DDPMScheduler" else {"variance_type": None}))
    for stage in sketches(tiny_model):
        rehearse(with_scheduler(stage, scheduler(tmp_path)))


def test_each_of_a_stages_schedulers_rehearses(tiny_model: Path) -> None:
    stage, *_ = sketches(tiny_model)
    unusable = NoiseScheduler(FlowMatchEulerDiscreteScheduler())
    both = replace(stage, noise_schedulers=by_name([default_scheduler(stage), unusable]))
    with pytest.raises(CheckpointError, match="makes a FlowMatchEulerDiscreteScheduler that fails in Decode"):
        rehearse(both)


@lru_cache
def sketches(model: Path) -> list[Any]:
    """The decoder stages without weights."""
    checkpoints = Checkpoints(torch.device("cpu"), torch.float32)
    return [checkpoints.sketch(stage, str(model / stage)).stage for stage in tiny.DECODERS]
