"""Compiled networks: programs for any number of rows, and for buckets that batches are padded to."""

import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from kandinsky_backends import compiled_network
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.compiled import COMPILED_ROLES, EXAMPLE_ROWS, CompiledBackend
from kandinsky_backends.compiled_network import Buckets, CompiledModule, CompiledNetwork
from kandinsky_backends.compiler import Order, export, main
from kandinsky_backends.compiler_process import CompilerProcess
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.graphs import GraphsBackend
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.program import MOST_ROWS, Plan
from kandinsky_backends.reference import reference_network, reference_shape
from kandinsky_backends.structure import pack, unpack
from kandinsky_backends.testing import BackendContract
from kandinsky_server.testing.device import DEVICE
from torch import Tensor, nn

from tests.backends.pretended import PretendedRecorder

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


@needs_compiler
@pytest.mark.slow
class TestCompiledForOneBucket(BackendContract):
    backend = CompiledBackend
    options = BackendOptions(buckets=(2,), cache_dir=CACHE)
    device = DEVICE
    roles = (Role.PRIOR,)


@pytest.fixture(scope="module", params=[None, (1, 2, 4, 8)], ids=["any-rows", "buckets"])
def prepared(request: pytest.FixtureRequest) -> CompiledNetwork:
    """Compiled for any number of rows, or for one, two and four."""
    options = BackendOptions(buckets=request.param, cache_dir=CACHE)
    network = CompiledBackend(options).prepare(Tiny(), Role.UNET, [tiny_shape(1), tiny_shape(3)])
    assert isinstance(network, CompiledNetwork)
    return network


@pytest.fixture
def _programs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a compiled network fail where it has no program for its inputs, or would make one."""

    def refuse(*_: object) -> None:
        raise AssertionError("eager was called")

    monkeypatch.setattr(compiled_network.CompiledNetwork, "_run_eagerly", refuse)
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", refuse)


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("_programs_only")
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 11])
def test_no_row_count_compiles_during_a_request(prepared: Network, rows: int) -> None:
    inputs = tiny_shape(rows).random_inputs(CPU, seed=rows)
    torch.testing.assert_close(prepared(*inputs), EagerNetwork(Tiny())(*inputs))


@needs_compiler
@pytest.mark.slow
def test_for_fewer_rows_than_were_prepared_only_their_buckets_are_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The device may have no memory for the others."""
    options = BackendOptions(buckets=(1, 2, 4, 8), cache_dir=CACHE)
    preparation = CompiledBackend(options)._preparation(Tiny(), Role.UNET, [tiny_shape(1), tiny_shape(8)])
    preparation.wait()
    timed: list[int] = []

    def noted(self: Buckets, rows: int, *_: object) -> float:
        timed.append(rows)
        return 0.1

    monkeypatch.setattr(Buckets, "_time", noted)
    network = preparation.finish(2)
    assert timed == [1, 2]
    inputs = tiny_shape(5).random_inputs(CPU)
    torch.testing.assert_close(network(*inputs), EagerNetwork(Tiny())(*inputs))


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("_programs_only")
def test_one_program_of_a_unet_serves_all_row_counts() -> None:
    unet = Unet().eval().requires_grad_(False)
    shapes = [BatchShape(rows, ((4, 16, 16), (), (16,)), (torch.float32,) * 3) for rows in range(1, 34)]
    prepared = CompiledBackend(BackendOptions(cache_dir=CACHE)).prepare(
        unet, Role.UNET, [shapes[0], shapes[-1]]
    )
    for shape in shapes:
        inputs = shape.random_inputs(CPU)
        torch.testing.assert_close(prepared(*inputs), EagerNetwork(unet)(*inputs), atol=1e-5, rtol=1e-4)


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("_programs_only")
@pytest.mark.parametrize("rows", [1, 2])
def test_no_order_in_memory_compiles_during_a_request(prepared: Network, rows: int) -> None:
    sample = torch.randn(8, 8, 3, rows).permute(3, 2, 0, 1)
    inputs = (sample, torch.tensor(7.0).expand(rows))  # a row alone is contiguous and has stride 0
    torch.testing.assert_close(prepared(*inputs), EagerNetwork(Tiny())(*inputs))


@needs_compiler
@pytest.mark.slow
def test_a_size_that_was_not_prepared_runs_eagerly(
    prepared: CompiledNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = tiny_shape(2, width=16).random_inputs(CPU)
    before = prepared.unprepared.count
    torch.testing.assert_close(prepared(*inputs), EagerNetwork(Tiny())(*inputs))
    assert prepared.unprepared.count == before + 1
    monkeypatch.setattr(compiled_network.CompiledNetwork, "_run_eagerly", lambda *_: ("eager",))
    outputs: tuple[Any, ...] = prepared(*inputs)
    assert outputs == ("eager",)


@needs_compiler
@pytest.mark.slow
def test_calls_of_programs_can_be_recorded_as_on_cuda(prepared: CompiledNetwork) -> None:
    recorder, shapes = PretendedRecorder(), [tiny_shape(1), tiny_shape(3)]
    graphs = GraphsBackend(BackendOptions(), recorder)
    recorded = graphs.prepare(CompiledModule(Tiny(), prepared), Role.UNET, shapes)
    assert sorted(shape[0] for shape in recorder.recorded) == [1, 2, 3]
    for rows in (1, 2, 3, 4):
        inputs = tiny_shape(rows).random_inputs(CPU, seed=rows)
        torch.testing.assert_close(recorded(*inputs), EagerNetwork(Tiny())(*inputs))


@needs_compiler
@pytest.mark.slow
def test_programs_serve_other_weights_and_are_there_at_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend, shapes = CompiledBackend(BackendOptions(cache_dir=CACHE)), [tiny_shape(1), tiny_shape(3)]
    backend.prepare(Tiny(), Role.UNET, shapes)
    monkeypatch.setattr(CompilerProcess, "run", lambda *_: pytest.fail("compiled again"))
    other = Tiny()
    with torch.no_grad():
        other.convolution.weight.add_(1)
    assert backend.begin(other, Role.UNET, shapes) is None
    inputs = tiny_shape(3).random_inputs(CPU)
    expected = EagerNetwork(other)(*inputs)
    torch.testing.assert_close(backend.prepare(other, Role.UNET, shapes)(*inputs), expected)


@needs_compiler
@pytest.mark.slow
def test_a_broken_program_in_the_cache_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "inductor").symlink_to(CACHE / "inductor")
    options, shapes = BackendOptions(cache_dir=tmp_path), [tiny_shape(2)]
    CompiledBackend(options).prepare(Tiny(), Role.UNET, shapes)
    (code,) = tmp_path.glob("program-*/code")
    code.write_bytes(code.read_bytes()[:100])
    backend = CompiledBackend(options)
    assert backend.begin(Tiny(), Role.UNET, shapes) is not None
    inputs = tiny_shape(2).random_inputs(CPU)
    outputs = backend.prepare(Tiny(), Role.UNET, shapes)(*inputs)
    torch.testing.assert_close(outputs, EagerNetwork(Tiny())(*inputs))
    assert not list(tmp_path.glob("draft-*"))


@pytest.mark.slow
@pytest.mark.parametrize("role", sorted(COMPILED_ROLES))
def test_networks_with_all_their_blocks_are_one_graph_for_all_rows(role: Role) -> None:
    module = unpack(pack(reference_network(role)), CPU).eval()
    plan = Plan(reference_shape(role, EXAMPLE_ROWS), any_rows=True)
    (first, *_) = export(module, plan, CPU).range_constraints.values()
    assert (first.lower, first.upper) in {(1, MOST_ROWS), (2, MOST_ROWS)}


@needs_compiler
@pytest.mark.slow
def test_more_rows_than_a_program_takes_run_eagerly(prepared: CompiledNetwork) -> None:
    before = prepared.unprepared.count
    inputs = tiny_shape(MOST_ROWS + 1).random_inputs(CPU)
    torch.testing.assert_close(prepared(*inputs), EagerNetwork(Tiny())(*inputs))
    assert prepared.unprepared.count == before + 1


class Unpicklable(Tiny):
    def __init__(self) -> None:
        super().__init__()
        self.function = lambda: None


class Unexportable(Tiny):
    def forward(self, sample: Tensor, timestep: Tensor) -> tuple[Tensor]:
        if float(sample.sum()) > 0:
            return (sample,)
        return (timestep,)


@pytest.mark.parametrize("kind", [Unpicklable, pytest.param(Unexportable, marks=pytest.mark.slow)])
def test_what_cannot_be_compiled_is_told_and_leaves_nothing(kind: type[nn.Module], tmp_path: Path) -> None:
    backend = CompiledBackend(BackendOptions(cache_dir=tmp_path))
    with pytest.raises(Exception, match=r"pickle|compiler ended with exit code 1; it said last: GuardOn"):
        backend.prepare(kind(), Role.UNET, [tiny_shape(2)])
    assert not list(tmp_path.glob("program-*"))


def test_a_cancelled_compiler_ends_with_all_that_it_started(tmp_path: Path) -> None:
    backend = CompiledBackend(BackendOptions(cache_dir=tmp_path))
    preparation = backend.begin(Tiny(), Role.UNET, [tiny_shape(2)])
    assert preparation is not None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(preparation.wait)
        preparation.cancel()
        with pytest.raises(BackendUnavailable, match="exit code -9"):
            waiting.result()


@pytest.mark.slow
def test_a_compiler_ends_with_its_server() -> None:
    """As the server is killed: nothing in it runs any more, and its end of the pipe is closed."""
    order = Order(pack(Tiny()), {}, CPU, 1, tf32=False)
    endless = (
        f"import time; from {main.__module__} import *; compile_program = lambda *_: time.sleep(1000); main()"
    )
    process = subprocess.Popen([sys.executable, "-c", endless], stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(order))
    process.stdin.close()
    assert process.wait() in (0, -9)


@needs_compiler
@pytest.mark.slow
def test_without_a_cache_directory_nothing_is_kept(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "sys.path.append(os.getcwd())\n"  # the compiler's process imports Tiny as well, and has no '' on its path
        "from kandinsky_backends.compiled import CompiledBackend\n"
        "from kandinsky_backends.options import BackendOptions\n"
        "from tests.backends.test_compiled import Tiny, tiny_shape\n"
        "CompiledBackend(BackendOptions(buckets=(1,))).prepare(Tiny(), 'unet', [tiny_shape(1)])\n"
        "print(*(name for name in os.listdir(os.environ['TMPDIR']) if name.startswith('kandinsky-programs-')))\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    (folder,) = ended.stdout.split()
    assert not (tmp_path / folder).exists()


def test_programs_of_two_cards_of_one_kind_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inductor's code names the device that it was made on."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    module, plan = Tiny(), Plan(tiny_shape(2), any_rows=True)
    folders = {plan.folder(tmp_path, module, torch.device("cuda", index)) for index in (0, 1, 0)}
    assert len(folders) == 2


def test_what_runs_once_a_request_is_not_compiled() -> None:
    backend = CompiledBackend(BackendOptions())
    assert backend.begin(Tiny(), Role.TEXT_ENCODER, [tiny_shape(1)]) is None
    network = backend.prepare(Tiny(), Role.TEXT_ENCODER, [tiny_shape(1)])
    assert isinstance(network, EagerNetwork)


def test_a_machine_without_a_compiler_is_told_to_install_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "a-compiler-that-is-not-here")
    with pytest.raises(BackendUnavailable, match=r"C\+\+ compiler.*Install g\+\+"):
        CompiledBackend(BackendOptions()).probe(CPU)


def test_a_device_it_cannot_compile_for_is_refused() -> None:
    with pytest.raises(BackendUnavailable, match="--backend eager"):
        CompiledBackend(BackendOptions()).probe(torch.device("meta"))
