"""Picture sizes that networks are prepared for."""

from pathlib import Path

import pytest
import torch
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.kandinsky22.specs import movq_parts, unet_parts
from kandinsky_server.families.sizes import Size
from kandinsky_server.families.stages import DecoderStage
from kandinsky_server.settings import Settings, load_settings
from kandinsky_server.startup.preflight import Preflight


@pytest.fixture(scope="module")
def stage(tiny_model: Path) -> DecoderStage:
    stage = Checkpoints(torch.device("cpu"), torch.float32).load("decoder", str(tiny_model / "decoder"))
    assert isinstance(stage, DecoderStage)
    return stage


def test_every_size_that_is_asked_for_is_warmed_larger_ones_with_fewer_rows(stage: DecoderStage) -> None:
    sizes = (Size(64, 128), Size(128, 256))
    unet = unet_parts(stage, sizes)[0].warm_shapes(8)
    assert [(shape.rows, shape.samples[0][1:]) for shape in unet] == [
        (1, (8, 16)),
        (8, (8, 16)),
        (1, (16, 32)),
        (2, (16, 32)),
    ]
    _, encoder = movq_parts(stage, sizes)
    assert [shape.samples[0] for shape in encoder.warm_shapes(8)][::2] == [(3, 64, 128), (3, 128, 256)]


def test_without_sizes_the_native_one_is_warmed(stage: DecoderStage) -> None:
    assert {shape.samples[0][1:] for shape in unet_parts(stage)[0].warm_shapes(8)} == {(8, 8)}


def test_a_size_that_the_stage_cannot_make_is_refused(stage: DecoderStage, tiny_model: Path) -> None:
    with pytest.raises(CheckpointError, match=r"decoder: heights and widths are multiples of 64.*96x64"):
        unet_parts(stage, (Size(96, 64),))
    preflight = Preflight(
        Settings(decoder=str(tiny_model / "decoder"), sizes="96x64", port=0, metrics_port=0)
    )
    preflight.run()
    assert any("multiples of 64, and sizes has 96x64" in problem for problem in preflight.problems)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--sizes=64"], "must be heights x widths"),
        (["--sizes=64x64,0x64"], "must be heights x widths"),
        (["--sizes=4096x4096"], "sizes has 4096x4096, which is more than max_pixels"),
    ],
)
def test_what_is_no_size_is_told(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(flags)
    assert told in capsys.readouterr().err


def test_sizes_are_a_list_of_heights_and_widths() -> None:
    assert load_settings(["--sizes=64x128, 128x64"]).sizes == ("64x128", "128x64")
