"""Weights that are not those of the network: told by name before anything is served, and without reading them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.diffusion.depth import DepthEstimator, sketch_depth
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.stages import DecoderStage, PriorStage
from safetensors.torch import load_file, save_file

from tests.diffusion.test_checkpoint import copy_of

Tensors = dict[str, torch.Tensor]
CPU = torch.device("cpu")
DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model", "model"
PARTS = {
    "prior/prior": DIFFUSERS,
    "prior/text_encoder": TRANSFORMERS,
    "prior/image_encoder": TRANSFORMERS,
    "decoder/unet": DIFFUSERS,
    "decoder/movq": DIFFUSERS,
}
"""Where weights are, and how their files are called."""


@pytest.fixture
def checkpoints() -> Checkpoints:
    return Checkpoints(CPU, torch.float32)


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return copy_of(tiny_model, tmp_path / "model")


def rewrite(model: Path, part: str, change: Callable[[Tensors], object]) -> str:
    """Changes the tensors of a part; returns the file's name as errors give it."""
    file = model / part / f"{PARTS.get(part, TRANSFORMERS)}.safetensors"
    tensors = load_file(file)
    change(tensors)
    file.unlink()
    save_file(tensors, file, metadata={"format": "pt"})
    return f"{file.parent.name}/{file.name}"


def refusal(model: Path, part: str, checkpoints: Checkpoints | None = None) -> str:
    """What sketch and load say, which is the same, in one line."""
    stage = part.split("/")[0]
    told = []
    for read in (Checkpoints.sketch, Checkpoints.load):
        with pytest.raises(CheckpointError) as refused:
            read(checkpoints or Checkpoints(CPU, torch.float32), stage, str(model / stage))
        told.append(str(refused.value))
    assert told[0] == told[1]
    assert "\n" not in told[0]
    assert told[0].startswith(f"stage {stage}: {str(model / stage)!r}: ")
    return told[0]


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_tensor_is_named(model: Path, part: str) -> None:
    tensors = load_file(model / part / f"{PARTS[part]}.safetensors")
    lost = sorted(tensors)[len(tensors) // 2]
    file = rewrite(model, part, lambda tensors: tensors.pop(lost))
    told = refusal(model, part)
    assert f"{file} is not the weights of this " in told
    assert f"it lacks {lost}" in told


@pytest.mark.parametrize("part", PARTS)
def test_a_tensor_of_another_shape_is_named(model: Path, part: str) -> None:
    name = next(
        name
        for name, tensor in load_file(model / part / f"{PARTS[part]}.safetensors").items()
        if tensor.ndim > 1 and name.endswith("weight")
    )
    file = rewrite(model, part, lambda tensors: tensors.update({name: torch.zeros(3, 5)}))
    told = refusal(model, part)
    assert f"{file} is not the weights of this" in told
    assert f"{name} of shape [3, 5] for [" in told


@pytest.mark.parametrize("part", ["prior/text_encoder", "decoder/unet"])
def test_prefixed_tensors_and_half_a_file_are_told_by_a_few_names(model: Path, part: str) -> None:
    original = load_file(model / part / f"{PARTS[part]}.safetensors")

    def prefix(tensors: Tensors) -> None:
        tensors.clear()
        tensors.update({f"wrapped.{name}": tensor for name, tensor in original.items()})

    rewrite(model, part, prefix)
    told = refusal(model, part)
    assert f"and {len(original) - 3} more" in told
    assert "has no use for wrapped." in told
    assert len(told) < 1000


def test_a_text_encoder_saved_as_another_class_lacks_its_projection(model: Path) -> None:
    part = "prior/text_encoder"
    rewrite(model, part, lambda tensors: tensors.pop("text_projection.weight"))
    assert "lacks text_projection.weight" in refusal(model, part)


@pytest.mark.parametrize("part", PARTS)
def test_tensors_too_many_are_a_warning(
    model: Path, checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    """Such as a LoRA's, which diffusers passes over in silence."""
    extra = "down_blocks.1.attentions.0.to_q.lora.down.weight"
    file = rewrite(model, part, lambda tensors: tensors.update({extra: torch.zeros(2, 2)}))
    stage = part.split("/")[0]
    assert checkpoints.sketch(stage, str(model / stage)).surplus == {file: (extra,)}
    with caplog.at_level(logging.WARNING, "kandinsky_server"):
        checkpoints.load(stage, str(model / stage))
    assert f"stage {stage}: {file} holds tensors that are not used: {extra}" in caplog.text


@pytest.mark.parametrize("part", ["prior/text_encoder", "prior/image_encoder"])
def test_position_ids_of_older_checkpoints_are_no_surplus(
    model: Path, checkpoints: Checkpoints, part: str
) -> None:
    inner = "text_model" if "text" in part else "vision_model"
    ids = {f"{inner}.embeddings.position_ids": torch.arange(77)[None]}
    rewrite(model, part, lambda tensors: tensors.update(ids))
    assert checkpoints.sketch("prior", str(model / "prior")).surplus == {}


def test_attention_of_older_checkpoints_is_renamed_as_diffusers_does(
    model: Path, checkpoints: Checkpoints, tiny_model: Path
) -> None:
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

    def age(tensors: Tensors) -> None:
        for name in [name for name in tensors if "mid_block.attentions" in name]:
            aged = name
            for new, before in old.items():
                aged = aged.replace(new, before)
            tensors[aged] = tensors.pop(name)

    rewrite(model, "decoder/movq", age)
    assert checkpoints.sketch("decoder", str(model / "decoder")).surplus == {}
    loaded = checkpoints.load("decoder", str(model / "decoder"))
    expected = Checkpoints(CPU, torch.float32).load("decoder", str(tiny_model / "decoder"))
    assert isinstance(loaded, DecoderStage)
    assert isinstance(expected, DecoderStage)
    torch.testing.assert_close(loaded.movq.state_dict(), expected.movq.state_dict())


@pytest.mark.parametrize(
    ("part", "value"),
    [
        *((part, float("nan")) for part in PARTS),
        ("prior/prior", float("inf")),
        ("prior/prior", -float("inf")),
    ],
)
def test_weights_that_are_no_numbers_are_refused(
    model: Path, checkpoints: Checkpoints, part: str, value: float
) -> None:
    bad: list[str] = []

    def spoil(tensors: Tensors) -> None:
        bad.append(sorted(tensors)[-1])
        tensors[bad[0]].view(-1)[-1] = value

    file = rewrite(model, part, spoil)
    stage = part.split("/")[0]
    with pytest.raises(CheckpointError) as refused:
        checkpoints.load(stage, str(model / stage))
    assert f"{file} holds weights that are NaN or infinite: " in str(refused.value)
    assert bad[0] in str(refused.value)


@pytest.mark.parametrize("part", ["prior/text_encoder", "prior/prior"])
def test_weights_beyond_half_precision_are_refused_in_it_alone(model: Path, part: str) -> None:
    rewrite(model, part, lambda tensors: tensors[sorted(tensors)[0]].fill_(1e5))
    stage, folder = part.split("/")
    with pytest.raises(CheckpointError, match=rf"{folder}/\S+ holds weights beyond .*--dtype fp32 or bf16"):
        Checkpoints(CPU, torch.float16).load(stage, str(model / stage))
    for dtype in (torch.float32, torch.bfloat16):
        Checkpoints(CPU, dtype).load(stage, str(model / stage))


def shard(folder: Path, stem: str, suffix: str) -> Path:
    """Turns one file of weights into two and an index; returns the index."""
    file = folder / f"{stem}.safetensors"
    tensors = load_file(file)
    file.unlink()
    names = sorted(tensors)
    stem = "pytorch_model" if (suffix, stem) == (".bin", TRANSFORMERS) else stem
    weight_map = {}
    for number, half in enumerate((names[::2], names[1::2]), 1):
        name = f"{stem}-0000{number}-of-00002{suffix}"
        weight_map.update(dict.fromkeys(half, name))
        write({key: tensors[key] for key in half}, folder / name)
    index = folder / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


def write(tensors: Tensors, file: Path) -> None:
    if file.suffix == ".bin":
        torch.save(tensors, file)
    else:
        save_file(tensors, file, metadata={"format": "pt"})


def same_weights(one: Path, other: Path, stage: str) -> None:
    loaded, expected = (
        Checkpoints(CPU, torch.float32).load(stage, str(model / stage)) for model in (one, other)
    )
    names = ("prior", "text_encoder", "image_encoder") if stage == "prior" else ("unet", "movq")
    for name in names:
        torch.testing.assert_close(
            getattr(loaded, name).state_dict(), getattr(expected, name).state_dict(), rtol=0, atol=2e-3
        )


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("part", ["prior/text_encoder", "prior/prior"])
def test_shards_are_loaded(model: Path, tiny_model: Path, part: str, suffix: str) -> None:
    shard(model / part, PARTS[part], suffix)
    same_weights(model, tiny_model, part.split("/")[0])


@pytest.mark.parametrize("part", ["prior/text_encoder", "prior/prior"])
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_variant_is_loaded_where_there_is_nothing_else(
    model: Path, tiny_model: Path, part: str, suffix: str
) -> None:
    file = model / part / f"{PARTS[part]}.safetensors"
    half = {name: tensor.half() for name, tensor in load_file(file).items()}
    file.unlink()
    stem = "pytorch_model" if (suffix, PARTS[part]) == (".bin", TRANSFORMERS) else PARTS[part]
    write(half, model / part / f"{stem}.fp16{suffix}")
    same_weights(model, tiny_model, part.split("/")[0])


@pytest.mark.parametrize("part", ["prior/text_encoder", "decoder/unet"])
def test_a_missing_shard_and_a_stale_index_are_told(model: Path, part: str) -> None:
    index = shard(model / part, PARTS[part], ".safetensors")
    gone = f"{PARTS[part]}-00002-of-00002.safetensors"
    (model / part / gone).rename(model / gone)
    assert f"lacks {gone}, which {index.name} names" in refusal(model, part)
    (model / gone).rename(model / part / gone)
    content = json.loads(index.read_text())
    content["weight_map"]["a.tensor"] = gone
    index.write_text(json.dumps(content))
    assert f"{index.name} is out of date: its files do not hold a.tensor" in refusal(model, part)
    index.write_text(json.dumps({"weight_map": 7}))
    assert f"{index.name} is no index" in refusal(model, part)


def test_an_index_left_beside_one_file_is_told(model: Path) -> None:
    """diffusers goes by the index, whatever else there is."""
    (model / "decoder" / "unet" / f"{DIFFUSERS}.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"conv_in.weight": f"{DIFFUSERS}-00001-of-00001.safetensors"}})
    )
    assert "lacks diffusion_pytorch_model-00001-of-00001.safetensors" in refusal(model, "decoder/unet")


def test_a_lora_alone_is_no_network(model: Path) -> None:
    unet = model / "decoder" / "unet"
    (unet / f"{DIFFUSERS}.safetensors").rename(unet / "pytorch_lora_weights.safetensors")
    told = refusal(model, "decoder/unet")
    assert "unet/ holds no weights" in told
    assert "but pytorch_lora_weights.safetensors" in told


def test_code_in_a_bin_file_is_not_run(model: Path) -> None:
    unet = model / "decoder" / "unet"
    (unet / f"{DIFFUSERS}.safetensors").unlink()
    torch.save({"conv_in.weight": Path}, unet / f"{DIFFUSERS}.bin")
    assert f"unet/{DIFFUSERS}.bin is damaged: " in refusal(model, "decoder/unet")


STRAY = {
    "unet/._config.json": b"\x00\x05\x16\x07",
    "unet/extras.json": b"[1, 2]",
    "unet/config.json.bak": b"{",
    "unet/._diffusion_pytorch_model.safetensors": b"\x00\x05\x16\x07",
    "old-unet/config.json": b"{",
    "old-unet/diffusion_pytorch_model.safetensors": b"half",
    "scheduler/notes.json": b"[]",
    "._model_index.json": b"\x00",
}


def test_files_that_nobody_loads_stop_nothing(model: Path, checkpoints: Checkpoints) -> None:
    before = checkpoints.load("decoder", str(model / "decoder")).fingerprint
    for name, content in STRAY.items():
        file = model / "decoder" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    assert checkpoints.load("decoder", str(model / "decoder")).fingerprint == before


@pytest.mark.parametrize("linked", ["unet", "unet/config.json", ""])
def test_links_lead_to_parts(model: Path, checkpoints: Checkpoints, tmp_path: Path, linked: str) -> None:
    expected = checkpoints.load("decoder", str(model / "decoder")).fingerprint
    part = model / "decoder" / linked
    part.rename(tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere")
    assert checkpoints.load("decoder", str(model / "decoder")).fingerprint == expected


def test_a_depth_model_is_held_to_the_same(model: Path) -> None:
    source = str(model / "depth")
    DepthEstimator(source, CPU).load()
    name = "decoder.stages.0.convolution.weight"
    original = load_file(model / "depth" / "model.safetensors")[name]
    rewrite(model, "depth", lambda tensors: tensors.pop(name))
    for read in (sketch_depth, lambda source: DepthEstimator(source, CPU).load()):
        with pytest.raises(CheckpointError, match=f"lacks {name}"):
            read(source)
    rewrite(model, "depth", lambda tensors: tensors.update({name: original * float("nan")}))
    sketch_depth(source)
    with pytest.raises(CheckpointError, match=f"NaN or infinite: {name}"):
        DepthEstimator(source, CPU).load()
    shutil.copy(model / "decoder" / "unet" / "config.json", model / "depth" / "config.json")
    with pytest.raises(CheckpointError, match="holds no depth model"):
        sketch_depth(source)


def test_a_depth_model_may_lack_what_no_depth_depends_on(tmp_path: Path) -> None:
    """As Intel/dpt-large does, which is transformers' default and what diffusers' Kandinsky docs use."""
    config = transformers.DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
    )
    transformers.DPTForDepthEstimation(config).save_pretrained(tmp_path)
    transformers.DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    whole = {name: tensor for name, tensor in tensors.items() if "layers.0.residual_layer1" not in name}
    assert len(whole) < len(tensors)
    save_file(whole, tmp_path / "model.safetensors", metadata={"format": "pt"})
    sketch_depth(str(tmp_path))
    DepthEstimator(str(tmp_path), CPU).load()


def test_weights_are_not_read_to_be_looked_at(model: Path, checkpoints: Checkpoints) -> None:
    for stage in ("prior", "decoder"):
        sketched = checkpoints.sketch(stage, str(model / stage)).stage
        network = sketched.prior if isinstance(sketched, PriorStage) else sketched.unet
        assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}
