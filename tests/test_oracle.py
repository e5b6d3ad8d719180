"""The tiny checkpoint and the oracle: both are what every parity test leans on."""

import filecmp
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from kandinsky_server.testing import tiny
from kandinsky_server.testing.oracle import Embeddings, Oracle, oracle
from PIL import Image

pytestmark = pytest.mark.slow

SCHEDULERS = [
    "DDPMScheduler",
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
]
"""Not UniPC: its `step` takes no generator, so that diffusers' Kandinsky pipelines cannot use it."""
VISIBLE = 0.02
"""Pixels in [0, 1] that differ by more than this differ visibly; twenty times the parity tolerance."""


@pytest.fixture(scope="module")
def tiny_oracle(tiny_model: Path) -> Oracle:
    return oracle(tiny_model)


@pytest.fixture(scope="module")
def cat(tiny_oracle: Oracle) -> Embeddings:
    return tiny_oracle.prior("a red cat", [0], num_inference_steps=4)


@pytest.fixture(scope="module")
def dog(tiny_oracle: Oracle) -> Embeddings:
    return tiny_oracle.prior("a blue dog", [0], num_inference_steps=4)


def picture(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def mask(left: int, width: int = 64, height: int = 64) -> Image.Image:
    white = Image.new("L", (width, height))
    white.paste(255, (left, 0, left + 32, height))
    return white


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def assert_pictures(images: np.ndarray, count: int, width: int = 64, height: int = 64) -> None:
    assert images.shape == (count, height, width, 3)
    assert images.dtype == np.float32
    assert images.std() > 0.05
    assert ((images == 0) | (images == 1)).mean() < 0.2


def test_build_is_deterministic_and_whole(tiny_model: Path, tmp_path: Path) -> None:
    tiny.build(tmp_path / "again")
    files = [str(path.relative_to(tiny_model)) for path in tiny_model.rglob("*") if path.is_file()]
    _, changed, missing = filecmp.cmpfiles(tiny_model, tmp_path / "again", files, shallow=False)
    assert (changed, missing) == ([], [])
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_build_refuses_to_overwrite(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "precious").touch()
    with pytest.raises(FileExistsError):
        tiny.build(tmp_path / "tiny")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["precious", "tiny"]


def test_ensure_takes_the_checkpoint_of_a_faster_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def lose_the_race(draft: Path, target: Path) -> Path:
        (target / "prior").mkdir(parents=True)
        return rename(draft, target)

    monkeypatch.setattr(Path, "rename", lose_the_race)
    built = tiny.ensure(tmp_path)
    assert [path.name for path in built.iterdir()] == ["prior"]
    assert list(tmp_path.iterdir()) == [built]


def test_decoder_stages_have_the_same_movq_bytes(tiny_model: Path) -> None:
    weights = {
        (tiny_model / stage / "movq" / "diffusion_pytorch_model.safetensors").read_bytes()
        for stage in tiny.DECODERS
    }
    assert len(weights) == 1


@pytest.mark.parametrize("text", ["", "a red cat", "Кот, 猫 & 🐈!", "\u200d\x00\n", "robot " * 100])
def test_tokenizer_takes_any_text(tiny_model: Path, text: str) -> None:
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tiny_model / "prior" / "tokenizer")
    assert tokenizer.model_max_length == 77
    ids = tokenizer(text, truncation=True).input_ids
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.unk_token_id not in ids[:-1]


def test_tokenizer_reads_its_text_back(tiny_model: Path) -> None:
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tiny_model / "prior" / "tokenizer")
    assert tokenizer.tokenize("a red cat") == ["a</w>", "red</w>", "cat</w>"]
    assert tokenizer.decode(tokenizer("кот 猫").input_ids, skip_special_tokens=True) == "кот 猫"


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_every_input_of_the_prior_matters(tiny_oracle: Oracle, guidance: float) -> None:
    def prior(prompt: str, seed: int, negative: str | None = None) -> np.ndarray:
        sampling: dict[str, Any] = {"num_inference_steps": 25, "guidance_scale": guidance}
        return tiny_oracle.prior(prompt, [seed], negative, **sampling).positive

    base = prior("a red cat", 0, "bad")
    assert base.shape == (1, tiny.WIDTH)
    assert np.abs(base).max() < 20
    assert difference(base, prior("a red dog", 0, "bad")) > VISIBLE
    assert difference(base, prior("a red cat", 1, "bad")) > VISIBLE
    if guidance > 1:
        assert difference(base, prior("a red cat", 0, "good")) > VISIBLE


def test_emb2emb_starts_from_a_picture_or_an_embedding(tiny_oracle: Oracle, dog: Embeddings) -> None:
    sampling: dict[str, Any] = {"num_inference_steps": 10}
    one = tiny_oracle.prior_emb2emb("a red cat", picture(1), [0, 1], 0.5, "bad", **sampling)
    other = tiny_oracle.prior_emb2emb("a red cat", dog.positive[0], [0, 1], 0.5, "bad", **sampling)
    assert one.positive.shape == one.negative.shape == (2, tiny.WIDTH)
    assert difference(one.positive, other.positive) > VISIBLE


def test_interpolation_weighs_every_condition(tiny_oracle: Oracle, dog: Embeddings) -> None:
    conditions = ["a red cat", picture(1), dog.positive[0]]
    sampling: dict[str, Any] = {"num_inference_steps": 4}
    whole = tiny_oracle.interpolate_prior(conditions, [0.5, 0.25, 0.25], [7, 8], **sampling)
    alone = [tiny_oracle.interpolate_prior([c], [1.0], [7, 8], **sampling).positive for c in conditions]
    expected = 0.5 * alone[0] + 0.25 * alone[1] + 0.25 * alone[2]
    assert difference(whole.positive, expected) < 1e-5
    np.testing.assert_array_equal(whole.negative, tiny_oracle.prior("", [7, 8], **sampling).negative)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 64)])
def test_decode(
    tiny_oracle: Oracle, cat: Embeddings, dog: Embeddings, guidance: float, width: int, height: int
) -> None:
    options: dict[str, Any] = {
        "width": width,
        "height": height,
        "num_inference_steps": 4,
        "guidance_scale": guidance,
    }
    images = tiny_oracle.decode(cat, [3, 4], **options)
    assert_pictures(images, 2, width, height)
    assert difference(images[0], images[1]) > VISIBLE
    assert difference(images[:1], tiny_oracle.decode(dog, [3], **options)) > VISIBLE
    np.testing.assert_array_equal(images[1:], tiny_oracle.decode(cat, [4], **options))


def test_many_images_in_one_pipeline_call_are_the_same(tiny_oracle: Oracle, cat: Embeddings) -> None:
    alone = tiny_oracle.decode(cat, [5, 6, 7], num_inference_steps=10)
    together = tiny_oracle._pipeline("KandinskyV22Pipeline", "decoder")(
        **cat.row(0),
        num_images_per_prompt=3,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in (5, 6, 7)],
        width=64,
        height=64,
        num_inference_steps=10,
        output_type="np",
    )
    assert difference(alone, together.images) < 1e-4


def test_each_call_has_a_fresh_scheduler(tiny_oracle: Oracle, cat: Embeddings) -> None:
    pipeline = tiny_oracle._pipeline("KandinskyV22Pipeline", "decoder")
    pipeline.scheduler.alphas_cumprod = pipeline.scheduler.alphas_cumprod.to("meta")
    assert_pictures(tiny_oracle.decode(cat, [5, 6], num_inference_steps=4), 2)


def test_a_row_of_embeddings_goes_with_each_seed(
    tiny_oracle: Oracle, cat: Embeddings, dog: Embeddings
) -> None:
    both = Embeddings(
        np.concatenate([cat.positive, dog.positive]), np.concatenate([cat.negative, dog.negative])
    )
    images = tiny_oracle.decode(both, [3, 4], num_inference_steps=4)
    np.testing.assert_array_equal(images[1:], tiny_oracle.decode(dog, [4], num_inference_steps=4))


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_img2img(tiny_oracle: Oracle, cat: Embeddings, dog: Embeddings, guidance: float) -> None:
    options: dict[str, Any] = {"num_inference_steps": 10, "guidance_scale": guidance, "width": 128}
    images = tiny_oracle.img2img(cat, picture(1), [3, 4], 0.5, **options)
    assert_pictures(images, 2, 128, 64)
    assert difference(images[0], images[1]) > VISIBLE
    assert difference(images[0], tiny_oracle.img2img(cat, picture(2), [3], 0.5, **options)[0]) > VISIBLE
    assert difference(images[0], tiny_oracle.img2img(dog, picture(1), [3], 0.5, **options)[0]) > VISIBLE
    assert difference(images[0], tiny_oracle.img2img(cat, picture(1), [3], 0.8, **options)[0]) > VISIBLE


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_inpaint(tiny_oracle: Oracle, cat: Embeddings, dog: Embeddings, guidance: float) -> None:
    options: dict[str, Any] = {"num_inference_steps": 10, "guidance_scale": guidance, "width": 128}
    images = tiny_oracle.inpaint(cat, picture(1), mask(0), [3, 4], **options)
    assert_pictures(images, 2, 128, 64)
    assert difference(images[0], images[1]) > VISIBLE
    assert difference(images[0], tiny_oracle.inpaint(cat, picture(2), mask(0), [3], **options)[0]) > VISIBLE
    assert difference(images[0], tiny_oracle.inpaint(cat, picture(1), mask(32), [3], **options)[0]) > VISIBLE
    assert difference(images[0], tiny_oracle.inpaint(dog, picture(1), mask(0), [3], **options)[0]) > VISIBLE


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_controlnet(tiny_oracle: Oracle, cat: Embeddings, dog: Embeddings, guidance: float) -> None:
    options: dict[str, Any] = {"num_inference_steps": 10, "guidance_scale": guidance}
    hint, other = picture(1, 128), picture(2, 128)
    images = tiny_oracle.controlnet(cat, hint, [3, 4], **options)
    assert_pictures(images, 2, 128, 64)
    assert difference(images[0], images[1]) > VISIBLE
    assert difference(images[0], tiny_oracle.controlnet(cat, other, [3], **options)[0]) > VISIBLE
    assert difference(images[0], tiny_oracle.controlnet(dog, hint, [3], **options)[0]) > VISIBLE


def test_controlnet_img2img(tiny_oracle: Oracle, cat: Embeddings) -> None:
    hint, other = picture(1, 128), picture(2, 128)
    options: dict[str, Any] = {"strength": 0.5, "num_inference_steps": 10}
    images = tiny_oracle.controlnet_img2img(cat, picture(3), hint, [3, 4], **options)
    assert_pictures(images, 2, 128, 64)
    assert difference(images[0], images[1]) > VISIBLE
    assert (
        difference(images[0], tiny_oracle.controlnet_img2img(cat, picture(3), other, [3], **options)[0])
        > VISIBLE
    )
    assert (
        difference(images[0], tiny_oracle.controlnet_img2img(cat, picture(4), hint, [3], **options)[0])
        > VISIBLE
    )


def test_depth_hint(tiny_oracle: Oracle) -> None:
    hint = tiny_oracle.depth_hint(picture(1), 128, 64)
    assert (hint.size, hint.mode) == ((128, 64), "RGB")
    assert hint.convert("L").getextrema() == (0, 255)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_any_scheduler(tmp_path: Path, cat: Embeddings, scheduler: str) -> None:
    tiny.build(tmp_path / "tiny", decoder_scheduler=scheduler)
    config = json.loads((tmp_path / "tiny" / "inpaint" / "scheduler" / "scheduler_config.json").read_text())
    assert config["_class_name"] == scheduler
    other = Oracle(tmp_path / "tiny")
    assert_pictures(other.decode(cat, [3], num_inference_steps=8), 1)
    assert_pictures(other.img2img(cat, picture(1), [3], 0.5, num_inference_steps=8), 1)
    assert_pictures(other.inpaint(cat, picture(1), mask(0), [3], num_inference_steps=8), 1)
