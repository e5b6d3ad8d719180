"""A fingerprint tells checkpoints apart, wherever they lie."""

import shutil
from pathlib import Path

import pytest
from kandinsky_server.checkpoints import fingerprint as hashing
from kandinsky_server.checkpoints.fingerprint import BLOCK_BYTES, BLOCK_COUNT
from kandinsky_server.checkpoints.layout import read_layout
from kandinsky_server.families.kandinsky22.family import KANDINSKY22

UNET = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def stage(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(tiny_model / "decoder", tmp_path / "decoder"))


def fingerprint(stage: Path, name: str = "decoder") -> str:
    """Of what is loaded of a stage."""
    return hashing.fingerprint(stage, read_layout(KANDINSKY22, name, stage).files())


def flip(path: Path, place: int) -> None:
    """Changes one byte."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_it_does_not_depend_on_the_place(tiny_model: Path, stage: Path) -> None:
    found = fingerprint(stage)
    assert found == fingerprint(tiny_model / "decoder")
    assert len(found) == 32
    assert int(found, 16) >= 0


def test_stages_differ(tiny_model: Path) -> None:
    stages = ["prior", "decoder", "inpaint", "controlnet"]
    assert len({fingerprint(tiny_model / stage, stage) for stage in stages}) == len(stages)


@pytest.mark.parametrize("place", [50_000, -1])
def test_a_changed_weight_shows(stage: Path, place: int) -> None:
    before = fingerprint(stage)
    flip(stage / "unet" / "diffusion_pytorch_model.safetensors", place)
    assert fingerprint(stage) != before


def test_a_changed_config_shows(stage: Path) -> None:
    before = fingerprint(stage)
    config = stage / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert fingerprint(stage) != before


def test_a_moved_file_shows(stage: Path) -> None:
    before = fingerprint(stage)
    (stage / "movq").rename(stage / "vae")
    assert fingerprint(stage) != before


def test_what_is_not_loaded_does_not_count(stage: Path) -> None:
    before = fingerprint(stage)
    (stage / "README.md").write_text("hello")
    shutil.copytree(stage / "unet", stage / "unet-old")
    (stage / "unet" / "._config.json").write_bytes(b"\x00\x05\x16\x07")
    shutil.copy(stage / "unet" / UNET, stage / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    assert fingerprint(stage) == before


def test_links_are_followed(stage: Path, tmp_path: Path) -> None:
    """What is behind them is loaded, and so it counts."""
    before = fingerprint(stage)
    (stage / "unet").rename(tmp_path / "elsewhere")
    (stage / "unet").symlink_to(tmp_path / "elsewhere")
    assert fingerprint(stage) == before
    flip(tmp_path / "elsewhere" / UNET, -1)
    assert fingerprint(stage) != before


def test_of_a_large_file_the_ends_and_the_size_count(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    size = 2 * BLOCK_BYTES * BLOCK_COUNT
    weights.write_bytes(bytes(size))
    found = {hashing.fingerprint(tmp_path, [weights])}
    for place in (0, size - 1):
        flip(weights, place)
        found.add(hashing.fingerprint(tmp_path, [weights]))
    weights.write_bytes(bytes(size + 1))
    found.add(hashing.fingerprint(tmp_path, [weights]))
    assert len(found) == 4
