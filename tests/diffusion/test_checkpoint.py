"""Stages as they are loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from kandinsky_server.checkpoints import checkpoints as loader
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.stages import DecoderStage, PriorStage

DECODERS = ("decoder", "inpaint", "controlnet")


@pytest.fixture
def checkpoints() -> Checkpoints:
    return Checkpoints(torch.device("cpu"), torch.float32)


def copy_of(stage: Path, target: Path) -> Path:
    return Path(shutil.copytree(stage, target))


def load_decoder(checkpoints: Checkpoints, name: str, source: Path) -> DecoderStage:
    stage = checkpoints.load(name, str(source))
    assert isinstance(stage, DecoderStage)
    return stage


def test_equal_movqs_are_held_once(checkpoints: Checkpoints, tiny_model: Path) -> None:
    stages = [load_decoder(checkpoints, name, tiny_model / name) for name in DECODERS]
    assert len({id(stage.movq) for stage in stages}) == 1
    assert len({stage.movq_key for stage in stages}) == 1
    assert len({id(stage.unet) for stage in stages}) == 3


def test_another_movq_is_held_too(checkpoints: Checkpoints, tiny_model: Path, tmp_path: Path) -> None:
    inpaint = copy_of(tiny_model / "inpaint", tmp_path / "inpaint")
    weights = inpaint / "movq" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    one = load_decoder(checkpoints, "decoder", tiny_model / "decoder")
    other = load_decoder(checkpoints, "inpaint", inpaint)
    assert one.movq is not other.movq
    assert one.movq_key != other.movq_key


def test_a_movq_without_weights_is_borrowed(
    checkpoints: Checkpoints, tiny_model: Path, tmp_path: Path
) -> None:
    inpaint = copy_of(tiny_model / "inpaint", tmp_path / "inpaint")
    (inpaint / "movq" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no decoder stage is loaded to borrow"):
        checkpoints.load("inpaint", str(inpaint))
    one = load_decoder(checkpoints, "decoder", tiny_model / "decoder")
    assert load_decoder(checkpoints, "inpaint", inpaint).movq is one.movq


def test_sizes_are_the_architectures(checkpoints: Checkpoints, tiny_model: Path) -> None:
    stage = load_decoder(checkpoints, "decoder", tiny_model / "decoder")
    assert (stage.factor, stage.size_step, stage.native_size, stage.latent_channels) == (8, 64, 64, 4)


def test_the_scheduler_is_the_one_that_the_config_names(
    checkpoints: Checkpoints, tiny_model: Path, tmp_path: Path
) -> None:
    decoder = copy_of(tiny_model / "decoder", tmp_path / "decoder")
    path = decoder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    del config["variance_type"]  # DDPM alone uses a variance that the UNet predicts
    path.write_text(json.dumps({**config, "_class_name": "DDIMScheduler"}))
    assert list(checkpoints.load("decoder", str(decoder)).noise_schedulers) == ["DDIMScheduler"]
    path.write_text(json.dumps({**config, "_class_name": "NoSuchScheduler"}))
    with pytest.raises(
        CheckpointError, match=r"stage decoder: .*scheduler_config\.json.* no scheduler 'NoSuchScheduler'"
    ):
        checkpoints.load("decoder", str(decoder))


@pytest.mark.parametrize(
    "missing", ["unet/diffusion_pytorch_model.safetensors", "scheduler", "unet/config.json"]
)
def test_what_is_missing_is_said_with_the_stage(
    checkpoints: Checkpoints, tiny_model: Path, tmp_path: Path, missing: str
) -> None:
    decoder = copy_of(tiny_model / "decoder", tmp_path / "decoder")
    (decoder / missing).rename(tmp_path / "away")
    with pytest.raises(CheckpointError, match=rf"stage decoder: .*{Path(missing).parts[0]}"):
        checkpoints.load("decoder", str(decoder))


def test_pictures_are_processed_by_the_class_that_the_checkpoint_names(
    checkpoints: Checkpoints, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As diffusers does it. transformers has two, by Pillow and by torchvision, whose pixels differ."""

    named = json.loads((tiny_model / "prior" / "model_index.json").read_text())["image_processor"][1]
    # The module as the loader has it: transformers puts another in its place once.
    transformers = loader.transformers  # type: ignore[attr-defined]
    theirs = getattr(transformers, named)

    class Named:
        @staticmethod
        def from_pretrained(folder: Path) -> Any:
            made = theirs.from_pretrained(folder)
            made.made_by = named
            return made

    monkeypatch.setattr(transformers, named, Named)
    if named != "CLIPImageProcessor":
        monkeypatch.setattr(transformers, "CLIPImageProcessor", None)
    stage = checkpoints.load("prior", str(tiny_model / "prior"))
    assert isinstance(stage, PriorStage)
    assert stage.image_processor.made_by == named
