"""Checkpoints with broken files: a sentence for each, an exit code, and never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.process import START, TINY, Process

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def refusals(server: Process, code: int) -> dict[str, Any]:
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
    assert f"{str(model / 'inpaint')!r}: scheduler/ holds no DDPMScheduler" in said["inpaint"]
    assert "unet/diffusion_pytorch_model.safetensors is damaged" in said["controlnet"]


def without(file: Path, name: str) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in load_file(file).items() if key != name}


def look(model: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """`--check`, with a model that is not looked at otherwise."""
    command = [*START, *TINY, f"--model={model}", *flags, "--check"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_what_requests_could_not_use_is_refused_by_check_and_start_alike(model: Path) -> None:
    """One fault a stage; each was served, or ended in a traceback."""
    encoder = model / "prior" / "text_encoder" / "model.safetensors"
    save_file(without(encoder, "text_projection.weight"), encoder, metadata={"format": "pt"})
    change(
        model / "decoder" / "scheduler" / "scheduler_config.json",
        _class_name="FlowMatchEulerDiscreteScheduler",
    )
    weights = model / "inpaint" / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(without(weights, "conv_in.bias"), weights)
    flags = (f"--controlnet={model / 'decoder'}",)
    with Process(model, *flags) as server:
        said = refusals(server, code=2)
    checked = look(model, *flags)
    assert checked.returncode == 2
    assert checked.stderr.splitlines() == server.errors
    assert "text_encoder/model.safetensors" in said["prior"]
    assert "lacks text_projection.weight" in said["prior"]
    assert "FlowMatchEulerDiscreteScheduler that fails in Decode" in said["decoder"]
    assert "lacks conv_in.bias" in said["inpaint"]
    assert said["controlnet"].endswith("a checkpoint for --decoder")


def test_nan_in_weights_is_found_as_they_are_loaded(model: Path) -> None:
    file = model / "depth" / "model.safetensors"
    tensors = load_file(file)
    tensors["decoder.stages.0.convolution.weight"].view(-1)[0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    assert look(model).returncode == 0  # looks at headers
    with Process(model) as server:
        said = refusals(server, code=1)
    (told,) = said.values()
    assert "depth" in told
    assert "NaN" in told


def test_tensors_too_many_are_a_warning_and_served(model: Path) -> None:
    file = model / "decoder" / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({**load_file(file), "to_q.lora_A.weight": torch.zeros(2, 2)}, file)
    assert "unet/diffusion_pytorch_model.safetensors holds tensors that are not used: to_q.lora_A.weight" in (
        look(model).stdout
    )
    with Process(model) as server:
        server.target("serving")
        (line,) = [json.loads(line) for line in server.errors if "lora" in line]
    assert line["level"] == "warning"
    assert "stage decoder: unet/diffusion_pytorch_model.safetensors holds tensors" in line["event"]
