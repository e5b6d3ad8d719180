"""Where checkpoints come from, and what is said when they are not there."""

import sys
from pathlib import Path

import pytest
from kandinsky_server.checkpoints.source import Sources, local_directory, resolve
from kandinsky_server.errors import CheckpointError


def test_a_preset_names_the_official_repositories() -> None:
    found = resolve("kandinsky-2.2", Sources())
    assert found.given() == {
        "prior": "kandinsky-community/kandinsky-2-2-prior",
        "decoder": "kandinsky-community/kandinsky-2-2-decoder",
        "inpaint": "kandinsky-community/kandinsky-2-2-decoder-inpaint",
        "controlnet": "kandinsky-community/kandinsky-2-2-controlnet-depth",
    }


def test_a_directory_gives_the_stages_it_holds(tmp_path: Path) -> None:
    for stage in ("decoder", "prior", "depth"):
        (tmp_path / stage).mkdir()
    found = resolve(str(tmp_path), Sources())
    assert list(found.given()) == ["prior", "decoder"]
    assert found.depth == str(tmp_path / "depth")


def test_a_single_stage_takes_precedence() -> None:
    found = resolve("kandinsky-2.2", Sources({"decoder": "mine"}, depth="deep"))
    assert (found.stages["decoder"], found.depth) == ("mine", "deep")
    assert found.stages["prior"] == "kandinsky-community/kandinsky-2-2-prior"


def test_single_stages_alone_are_all_there_is() -> None:
    assert resolve(None, Sources({"decoder": "mine"})) == Sources({"decoder": "mine"})


@pytest.mark.parametrize("model", [None, "toy"])
def test_the_toy_model_has_every_stage(model: str | None) -> None:
    found = resolve(model, Sources())
    assert list(found.given()) == ["prior", "decoder", "inpaint", "controlnet"]
    assert found.depth


@pytest.mark.parametrize("model", ["embedded", "./nowhere"])
def test_an_unknown_model_is_told_what_there_is(model: str) -> None:
    expected = rf"'{model}' is neither 'toy' nor a preset \(kandinsky-2\.2\) nor a directory"
    with pytest.raises(CheckpointError, match=expected):
        resolve(model, Sources())


def test_without_its_package_the_toy_model_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kandinsky_toy", None)
    with pytest.raises(CheckpointError, match="pip install kandinsky-toy"):
        resolve("toy", Sources())


def test_a_checkpoint_needs_a_model_index(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model_index\.json"):
        local_directory(str(tmp_path))


def test_a_missing_directory_is_not_looked_for_on_the_hub() -> None:
    with pytest.raises(CheckpointError, match=r"no model_index\.json"):
        local_directory("./nowhere/at-all")


def test_a_hub_that_cannot_be_reached_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="hub could not be reached"):
        local_directory("nobody/nothing")
