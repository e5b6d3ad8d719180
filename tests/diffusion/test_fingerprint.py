"""A fingerprint tells checkpoints apart, wherever they lie."""

import shutil
from pathlib import Path

import pytest
from kandinsky_server.diffusion.fingerprint import BLOCK_BYTES, BLOCK_COUNT, fingerprint


@pytest.fixture
def stage(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(tiny_model / "decoder", tmp_path / "decoder"))


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
    assert len({fingerprint(tiny_model / stage) for stage in stages}) == len(stages)


@pytest.mark.parametrize("place", [0, 10_000, -1])
def test_a_changed_weight_shows(stage: Path, place: int) -> None:
    before = fingerprint(stage)
    flip(stage / "unet" / "diffusion_pytorch_model.safetensors", place)
    assert fingerprint(stage) != before


def test_a_changed_config_shows(stage: Path) -> None:
    before = fingerprint(stage)
    config = stage / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert fingerprint(stage) != before


def test_a_renamed_file_shows(stage: Path) -> None:
    before = fingerprint(stage)
    (stage / "movq").rename(stage / "vae")
    assert fingerprint(stage) != before


def test_other_files_do_not_count(stage: Path) -> None:
    before = fingerprint(stage)
    (stage / "README.md").write_text("hello")
    assert fingerprint(stage) == before


def test_of_a_large_file_the_ends_and_the_size_count(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    size = 2 * BLOCK_BYTES * BLOCK_COUNT
    weights.write_bytes(bytes(size))
    found = {fingerprint(tmp_path)}
    for place in (0, size - 1):
        flip(weights, place)
        found.add(fingerprint(tmp_path))
    weights.write_bytes(bytes(size + 1))
    found.add(fingerprint(tmp_path))
    assert len(found) == 4
