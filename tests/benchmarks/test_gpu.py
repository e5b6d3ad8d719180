"""The GPU's benchmark, rehearsed on a CPU: on the day that there is a GPU, it works."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import distributions
from benchmarks.gpu.run import FAILED, PARTS

ROOT = Path(__file__).parents[2]
ROWS = (
    "card",
    "fp32 parity through gRPC, 2 pipelines, alone",
    "fp32 parity through gRPC, 2 pipelines, in company",
    "UNet, 2 rows of 64: eager over graphs",
    "UNet: shapes where graphs are not torch.equal to eager",
    "prior: shapes where graphs are not torch.equal to eager",
    "MoVQ decoder: shapes where graphs are not torch.equal to eager",
    "syncs that a trajectory adds to a step",
    "images/s over naive, 64 px, 2 clients",
    "share inside networks, 64 px, 8 clients",
    "share inside networks, 64 px, 1 client",
    "longest stall of the event loop",
    "10 steps behind 2 x 100, over alone",
    "largest batch, 64 px, 2 clients",
    "reserved memory after load",
    "too little memory: refused at the start, the way out named",
    "soak: lost answers",
    "soak: growth of reserved memory",
    "cold start to SERVING, eager",
    "cold start to SERVING, graphs",
    "cold start to SERVING, compiled",
    "offload: switch of a UNet",
    "out of memory: answers lost",
    "out of memory: rows capped for good",
    "illegal access: ended otherwise than with code 1",
    "illegal access: seconds until the process has ended",
)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "gpu", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def measured(out: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a rehearsal writes, by the figure's name."""
    rehearsal = (
        "--device",
        "cpu",
        "--backend",
        "eager",
        "--shrink",
        "--soak-minutes",
        "0.1",
        "--out",
        str(out),
    )
    told = run(*rehearsal, "--model", str(out / "model"), *arguments, **environment).stdout
    figures = {figure["name"]: figure for figure in json.loads((out / "gpu.json").read_text())["figures"]}
    assert all(name in told for name in figures)
    return figures


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_without_a_gpu_it_says_so() -> None:
    assert "no CUDA device" in run().stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_row_has_a_number_or_a_reason(tmp_path: Path) -> None:
    figures = measured(tmp_path)
    assert not [name for name in figures if name.startswith(FAILED)], figures
    assert set(ROWS) <= set(figures)
    assert all(figure["samples"] or figure["note"] for figure in figures.values())
    for name in ("soak: lost answers", "out of memory: answers lost"):
        assert figures[name]["measured"] == 0, figures[name]
    assert figures["fp32 parity through gRPC, 2 pipelines, alone"]["verdict"] == "pass"
    assert "images/s" in figures["images/s over naive, 64 px, 2 clients"]["note"]


@pytest.mark.slow
def test_a_part_that_fails_is_a_row_and_the_next_goes_on(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()  # where the checkpoint should be
    figures = measured(tmp_path, "--parts", "jump,offload")
    assert "ServerFailed" in figures[f"{FAILED}jump"]["note"]
    assert figures["offload: switch of a UNet"]["note"]


def test_parts_are_modules() -> None:
    assert all((ROOT / "benchmarks" / "gpu" / f"{part}.py").exists() for part in PARTS)


def test_backends_and_commands_are_found_without_an_installation(tmp_path: Path) -> None:
    """As on a machine with nothing but PYTHONPATH: only the distributions' own folder tells of them."""
    distributions.write(tmp_path)
    code = (
        "import sys; from importlib.metadata import entry_points, version\n"
        "sys.path[:] = [path for path in sys.path if 'packages' not in path] + sys.argv[1:]\n"
        "print(*sorted(entry_points(group='kandinsky.backends').names))\n"
        "print(*sorted(entry_points(group='kandinsky.commands').names))\n"
        "print(version('kandinsky-client'), version('kandinsky-server'), version('kandinsky-toy'))\n"
    )
    told = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    backends, commands, versions = told.splitlines()
    assert {"eager", "compiled", "openvino", "xformers"} <= set(backends.split())
    assert commands.split() == ["backends", "download", "serve"]
    assert len(set(versions.split())) == 1
