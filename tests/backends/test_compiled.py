"""Compiled networks: programs for any number of rows, and for buckets that batches are padded to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from kandinsky_backends import compiled_network
from kandinsky_backends.base import BackendUnavailable, BatchShape, Role
from kandinsky_backends.compiled import CompiledBackend
from kandinsky_backends.compiled_network import AnyRowsNetwork, CompiledNetwork, PaddedNetwork
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.testing import BackendContract
from torch import Tensor, nn
from torch._dynamo.utils import counters

from tests.device import DEVICE

CPU = torch.device("cpu")
CACHE = Path(__file__).parents[2] / ".cache" / "compiled"
"""Shared, and kept between runs: in an empty folder the first program, however small, takes ten seconds."""

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")


class Tiny(nn.Module):
    """Two inputs, as a network has: (rows, 3, h, w) and a number a row."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, sample: Tensor, timestep: Tensor) -> tuple[Tensor]:
        return (torch.sin(self.convolution(sample)) * timestep[:, None, None, None],)


class Unet(nn.Module):
    """diffusers' own, with as few layers as it can have."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.unet = UNet2DConditionModel(
            sample_size=16,
            out_channels=8,
            down_block_types=("ResnetDownsampleBlock2D",),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("ResnetUpsampleBlock2D",),
            block_out_channels=(32,),
            layers_per_block=1,
            cross_attention_dim=16,
            encoder_hid_dim=16,
            encoder_hid_dim_type="image_proj",
            attention_head_dim=16,
            resnet_time_scale_shift="scale_shift",
            norm_num_groups=8,
            addition_embed_type="image",
        )

    def forward(self, sample: Tensor, timestep: Tensor, embed: Tensor) -> tuple[Tensor, ...]:
        condition = {"image_embeds": embed}
        outputs: tuple[Tensor, ...] = self.unet(
            sample, timestep, None, added_cond_kwargs=condition, return_dict=False
        )
        return outputs


def tiny_shape(rows: int, width: int = 8) -> BatchShape:
    return BatchShape(rows, ((3, 8, width), ()), (torch.float32, torch.float32))


@needs_compiler
@pytest.mark.slow
class TestCompiled(BackendContract):
    backend = CompiledBackend
    options = BackendOptions(cache_dir=CACHE)
    device = DEVICE
    roles = (Role.PRIOR,)


@pytest.fixture(scope="class")
def _no_programs() -> None:
    """Programs are for any module of a class, so for one of an earlier test too."""
    torch.compiler.reset()


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("_no_programs")
class TestCompiledForOneBucket(BackendContract):
    backend = CompiledBackend
    options = BackendOptions(buckets=(2,), cache_dir=CACHE)
    device = DEVICE
    roles = (Role.PRIOR,)


@pytest.fixture(scope="module", params=[None, (1, 2, 4, 8)], ids=["any-rows", "buckets"])
def prepared(request: pytest.FixtureRequest) -> CompiledNetwork:
    """Compiled for up to three rows, or for one, two and four."""
    options = BackendOptions(buckets=request.param, cache_dir=CACHE)
    torch.compiler.reset()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "restored afterwards")
        network = CompiledBackend(options).prepare(Tiny(), Role.UNET, [tiny_shape(1), tiny_shape(3)])
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(CACHE / "inductor")
        assert list((CACHE / "inductor").iterdir())
    assert isinstance(network, PaddedNetwork if request.param else AnyRowsNetwork)
    return network


@pytest.fixture
def _programs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a compiled network fail where it has no program for its inputs."""
    monkeypatch.setattr(compiled_network, "UNFORESEEN", "fail_on_recompile")


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("_programs_only")
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 11])
def test_no_row_count_compiles_during_a_request(prepared: CompiledNetwork, rows: int) -> None:
    inputs = tiny_shape(rows).random_inputs(CPU, seed=rows)
    torch.testing.assert_close(prepared(*inputs), EagerNetwork(Tiny())(*inputs))


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("_programs_only")
def test_a_unet_has_programs_for_all_row_counts() -> None:
    unet = Unet().eval().requires_grad_(False)
    shapes = [BatchShape(rows, ((4, 16, 16), (), (16,)), (torch.float32,) * 3) for rows in range(1, 18)]
    prepared = CompiledBackend(BackendOptions(cache_dir=CACHE)).prepare(
        unet, Role.UNET, [shapes[0], shapes[-1]]
    )
    for shape in shapes:  # torch draws a line between 15 and 16
        inputs = shape.random_inputs(CPU)
        torch.testing.assert_close(prepared(*inputs), EagerNetwork(unet)(*inputs), atol=1e-5, rtol=1e-4)


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("_programs_only")
@pytest.mark.parametrize("rows", [1, 2])
def test_no_order_in_memory_compiles_during_a_request(prepared: CompiledNetwork, rows: int) -> None:
    sample = torch.randn(8, 8, 3, rows).permute(3, 2, 0, 1)
    inputs = (sample, torch.tensor(7.0).expand(rows))  # a row alone is contiguous and has stride 0
    torch.testing.assert_close(prepared(*inputs), EagerNetwork(Tiny())(*inputs))


@needs_compiler
@pytest.mark.slow
def test_what_would_compile_during_a_request_runs_eagerly(prepared: CompiledNetwork) -> None:
    inputs = tiny_shape(2).random_inputs(CPU)
    graphs = counters["stats"]["unique_graphs"]
    with torch.autocast("cpu"):  # programs are for the state that they were compiled in
        outputs = prepared(*inputs)
        torch.testing.assert_close(outputs, EagerNetwork(Tiny())(*inputs))
    assert counters["stats"]["unique_graphs"] == graphs


@needs_compiler
@pytest.mark.slow
def test_without_a_cache_directory_nothing_is_kept() -> None:
    script = (
        "import os, torch\n"
        "from kandinsky_backends.compiled import CompiledBackend\n"
        "from kandinsky_backends.options import BackendOptions\n"
        "from tests.backends.test_compiled import Tiny, tiny_shape\n"
        "CompiledBackend(BackendOptions(buckets=(1,))).prepare(Tiny(), 'unet', [tiny_shape(1)])\n"
        "folder = os.environ['TORCHINDUCTOR_CACHE_DIR']\n"
        "assert os.listdir(folder)\n"
        "print(folder)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not Path(ended.stdout.strip()).exists()


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("_programs_only")
def test_a_size_that_was_not_warmed_up_runs_eagerly(prepared: CompiledNetwork) -> None:
    inputs = tiny_shape(2, width=16).random_inputs(CPU)
    torch.testing.assert_close(prepared(*inputs), EagerNetwork(Tiny())(*inputs))


def test_what_runs_once_a_request_is_not_compiled() -> None:
    network = CompiledBackend(BackendOptions()).prepare(Tiny(), Role.TEXT_ENCODER, [tiny_shape(1)])
    assert isinstance(network, EagerNetwork)


def test_a_machine_without_a_compiler_is_told_to_install_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> str:
        raise RuntimeError("none found")

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", find_none)
    with pytest.raises(BackendUnavailable, match=r"C\+\+ compiler.*Install g\+\+"):
        CompiledBackend(BackendOptions()).probe(CPU)


def test_a_device_it_cannot_compile_for_is_refused() -> None:
    with pytest.raises(BackendUnavailable, match="--backend eager"):
        CompiledBackend(BackendOptions()).probe(torch.device("meta"))
