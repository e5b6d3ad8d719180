"""Files of a checkpoint that are broken: each is named, with what is wrong with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.checkpoints.layout import read_layout
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.kandinsky22.family import KANDINSKY22

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
SCHEDULER = "scheduler/scheduler_config.json"

BROKEN = {
    "a list": ("model_index.json", b"[]", "holds no object"),
    "cut short": ("model_index.json", b'{"_class_name": "Kandi', "is not JSON"),
    "empty": ("model_index.json", b"", "is not JSON"),
    "not UTF-8": ("model_index.json", '{"_class_name": "\u0416"}'.encode("utf-16"), "is not text in UTF-8"),
    "bottomless": ("model_index.json", b"[" * 100_000, "is not JSON"),
    "a part's": ("unet/config.json", b"{", "is not JSON"),
    "a lent part's": ("movq/config.json", b"null", "holds no object"),
    "a scheduler's": (SCHEDULER, b"3", "holds no object"),
    "short weights": (WEIGHTS, b"\x08\0\0\0\0\0\0\0{", "is damaged"),
    "weights that are none": (WEIGHTS, b"garbage" * 1000, "is damaged"),
    "no weights": (WEIGHTS, b"", "is damaged"),
}

UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "unknown class": ({"_class_name": "NoSuchScheduler"}, "has no scheduler 'NoSuchScheduler'"),
    "another class": ({"_class_name": "VQModel"}, "has no scheduler 'VQModel'"),
    "no class": ({"_class_name": None}, "has no scheduler 'None'"),
    "words for numbers": ({"num_train_timesteps": "many"}, "no DDPMScheduler that can be loaded"),
    "an unknown schedule": ({"beta_schedule": 7}, "no DDPMScheduler that can be loaded"),
    "a variance that it cannot use": ({"_class_name": "DDIMScheduler"}, "makes a DDIMScheduler that fails"),
    "an unknown prediction": ({"prediction_type": 7}, "makes a DDPMScheduler that fails"),
}


@pytest.fixture
def checkpoints() -> Checkpoints:
    return Checkpoints(torch.device("cpu"), torch.float32)


@pytest.fixture
def decoder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model / "decoder", tmp_path / "decoder"))


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named(decoder: Path, case: str) -> None:
    name, content, complaint = BROKEN[case]
    assert read_layout(KANDINSKY22, "decoder", decoder).size > 0
    (decoder / name).write_bytes(content)
    with pytest.raises(CheckpointError) as refusal:
        read_layout(KANDINSKY22, "decoder", decoder)
    assert f"{name} {complaint}" in str(refusal.value)


@pytest.mark.parametrize("case", UNFIT)
def test_a_scheduler_that_could_not_step_is_refused(
    decoder: Path, checkpoints: Checkpoints, case: str
) -> None:
    """One that is only found out by a request would fail every one."""
    changes, complaint = UNFIT[case]
    checkpoints.sketch("decoder", str(decoder))
    config = json.loads((decoder / SCHEDULER).read_text())
    (decoder / SCHEDULER).write_text(json.dumps({**config, **changes}))
    with pytest.raises(CheckpointError) as refusal:
        checkpoints.sketch("decoder", str(decoder))
    assert complaint in str(refusal.value)
    assert f"stage decoder: {str(decoder)!r}: scheduler/" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("unet/config.json", '{"_class_name": "UNet2DConditionModel", "block_out_channels": "wide"}'),
        ("movq/config.json", '{"_class_name": "VQModel", "latent_channels": []}'),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused_in_one_line(
    decoder: Path, checkpoints: Checkpoints, file: str, content: str
) -> None:
    (decoder / file).write_text(content)
    read_layout(KANDINSKY22, "decoder", decoder)
    with pytest.raises(CheckpointError) as refusal:
        checkpoints.load("decoder", str(decoder))
    assert f"{Path(file).parent}/ holds no " in str(refusal.value)
    assert "\n" not in str(refusal.value)
