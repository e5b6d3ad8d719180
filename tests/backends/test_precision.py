"""TF32 and deterministic algorithms: switches of PyTorch for the whole process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from kandinsky_backends.cli import app
from kandinsky_backends.device import pick_device, pick_dtype
from kandinsky_backends.precision import rounds_to_tf32, set_precision
from typer.testing import CliRunner

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    set_precision()


def tf32() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def test_tf32_is_off_unless_it_is_asked_for() -> None:
    torch.backends.cudnn.allow_tf32 = True  # PyTorch's own default
    set_precision()
    assert tf32() == (False, False)
    assert not rounds_to_tf32(torch.float32, CUDA)
    set_precision(tf32=True)
    assert tf32() == (True, True)
    assert rounds_to_tf32(torch.float32, CUDA)
    assert not rounds_to_tf32(torch.float32, CPU)
    assert not rounds_to_tf32(torch.float16, CUDA)


@pytest.mark.parametrize(("flags", "wanted"), [((), False), (("--tf32",), True)])
def test_check_computes_as_the_server_does(flags: tuple[str, ...], wanted: bool) -> None:
    torch.backends.cudnn.allow_tf32 = not wanted
    CliRunner().invoke(app, ["check", "no-such-backend", "--threads", "1", *flags])
    assert tf32() == (wanted, wanted)


def test_auto_is_half_precision_on_cuda_only() -> None:
    assert pick_dtype("auto", CUDA) == "fp16"
    assert pick_dtype("auto", pick_device("cpu")) == "fp32"
    assert pick_dtype("bf16", CUDA) == "bf16"


FLAGS = """
import os, torch
print(torch.are_deterministic_algorithms_enabled(), os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
print(torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
print(torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, torch.cuda.is_initialized())
"""


@pytest.mark.slow
@pytest.mark.parametrize("start", ["Preflight(settings).run()", "asyncio.run(make())"])
def test_a_deterministic_server_tells_cuda_before_it_starts(start: str) -> None:
    script = (
        "import asyncio, torch\n"
        "from kandinsky_server.app import App\n"
        "from kandinsky_server.startup.preflight import Preflight\n"
        "from kandinsky_server.settings import Settings\n"
        "torch.backends.cudnn.benchmark = True\n"
        "settings = Settings(device='cpu', deterministic=True, port=0, metrics_port=0, threads=1)\n"
        "async def make(): App(settings)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script + start + FLAGS], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["True", ":4096:8", "True", "False", "False", "False", "False"]
