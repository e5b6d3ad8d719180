"""Checkpoints with broken files: a sentence for each, an exit code, and never a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.server.process import Process

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def refusals(server: Process, code: int) -> dict[str, str]:
    """What is said of each stage, one line a stage, by a process that ends with ``code`` and has served nobody."""
    assert server.wait() == code
    assert not [line for line in server.output if line.startswith("serving")]
    assert not [line for line in server.errors if "Traceback" in line]
    said = [line.removeprefix("kandinsky serve: ") for line in server.errors if line.startswith("kandinsky")]
    return {line.split(":")[0]: line for line in said}


def test_files_that_cannot_be_read_are_all_named_before_anything_is_loaded(model: Path) -> None:
    (model / "prior" / "model_index.json").write_text("[]")
    (model / "prior" / "text_encoder" / "config.json").write_text('{"hidden_size": 64,')
    (model / "prior" / "tokenizer" / "vocab.json").write_bytes('{"\u0416": 1}'.encode("utf-16"))
    (model / "prior" / "image_encoder" / "model.safetensors").write_bytes(b"garbage" * 1000)
    change(model / "decoder" / "scheduler" / "scheduler_config.json", _class_name="NoSuchScheduler")
    change(model / "inpaint" / "scheduler" / "scheduler_config.json", num_train_timesteps="many")
    weights = model / "controlnet" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with Process(model) as server:
        said = refusals(server, code=2)
        assert server.output == []
        assert len(server.errors) == 4
    assert "model_index.json holds no object" in said["prior"]
    assert "text_encoder/config.json is not JSON" in said["prior"]
    assert "tokenizer/vocab.json is not text in UTF-8" in said["prior"]
    assert "image_encoder/model.safetensors is damaged" in said["prior"]
    assert "scheduler_config.json" in said["decoder"]
    assert "no scheduler 'NoSuchScheduler'" in said["decoder"]
    assert str(model / "inpaint" / "scheduler") in said["inpaint"]
    assert "unet/diffusion_pytorch_model.safetensors is damaged" in said["controlnet"]


def test_a_part_that_makes_no_network_is_named_when_it_is_loaded(model: Path) -> None:
    change(model / "prior" / "prior" / "config.json", num_layers="two")
    with Process(model) as server:
        said = refusals(server, code=1)
    assert f"{str(model / 'prior' / 'prior')!r} holds no PriorTransformer" in said["stage prior"]
