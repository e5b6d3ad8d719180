"""The GPU's benchmark, rehearsed on a CPU: on the day that there is a GPU, it works."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from kandinsky_backends.graphs import GraphsBackend

from benchmarks import distributions
from benchmarks.gpu import steps
from benchmarks.gpu.plan import Plan, standing
from benchmarks.gpu.run import FAILED, PARTS, _parser
from tests.backends.pretended import PretendedRecorder

ROOT = Path(__file__).parents[2]
ROWS = (
    "card",
    "fp32 parity through gRPC, 2 pipelines, alone",
    "fp32 parity through gRPC, 2 pipelines, in company",
    "UNet, 2 rows of 64: eager over graphs",
    "inpaint UNet, 2 rows of 64: eager over graphs",
    "ControlNet UNet, 2 rows of 64: eager over graphs",
    "UNet: shapes where graphs are not torch.equal to eager",
    "inpaint UNet: shapes where graphs are not torch.equal to eager",
    "ControlNet UNet: shapes where graphs are not torch.equal to eager",
    "prior: shapes where graphs are not torch.equal to eager",
    "MoVQ decoder: shapes where graphs are not torch.equal to eager",
    "MoVQ decoder, 2 rows of 64: eager over graphs",
    "one noise step for the whole batch: stages where it is not taken",
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
    "offload: a prompt's picture from a server",
    "out of memory, eager: answers lost",
    "out of memory, eager: rows capped for good",
    "out of memory, graphs: answers lost",
    "out of memory, graphs: rows capped for good",
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
    rehearsal = ("--shrink", "--soak-minutes", "0.1", "--out", str(out))
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
    for name in ("soak: lost answers", "out of memory, eager: answers lost"):
        assert figures[name]["measured"] == 0, figures[name]
    assert figures["fp32 parity through gRPC, 2 pipelines, alone"]["verdict"] == "pass"
    noise = figures["one noise step for the whole batch: stages where it is not taken"]
    assert noise["measured"] == 0
    assert all(f"{stage} taken" in noise["note"] for stage in ("prior", "decoder", "inpaint", "controlnet"))
    assert "a step takes" in figures["illegal access: seconds until the process has ended"]["note"]
    assert "images/s" in figures["images/s over naive, 64 px, 2 clients"]["note"]


@pytest.mark.slow
def test_a_part_that_fails_is_a_row_and_the_next_goes_on(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()  # where the checkpoint should be
    figures = measured(tmp_path, "--parts", "jump,offload")
    assert "ServerFailed" in figures[f"{FAILED}jump"]["note"]
    assert figures["offload: switch of a UNet"]["note"]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_rows_of_graphs_are_rehearsed_with_a_recorder_that_pretends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = PretendedRecorder()
    monkeypatch.setattr(steps, "get_backend", lambda _, options, device: GraphsBackend(options, recorder))
    plan = Plan("cpu", "fp32", "eager", (64,), (2,), 2, 1.0, True, tmp_path / "model")
    with standing(plan) as stand:
        figures = {figure.name: figure for figure in steps.measure(plan, stand)}
    for network in ("UNet", "inpaint UNet", "ControlNet UNet", "prior", "MoVQ decoder"):
        assert figures[f"{network}: shapes where graphs are not torch.equal to eager"].measured == 0
        of = "" if network == "prior" else " of 64"
        assert figures[f"{network}, 2 rows{of}: eager over graphs"].measured
    assert {(2, 4, 8, 8), (2, 9, 8, 8)} <= set(recorder.recorded)


def test_no_room_for_a_network_is_a_note_whoever_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cuBLAS raises a plain RuntimeError."""

    def full(*_: object) -> NoReturn:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    monkeypatch.setattr(steps, "_timed", full)
    plan = Plan("cpu", "fp32", "eager", (64,), (2,), 2, 1.0, True, tmp_path / "model")
    with standing(plan) as stand:
        assert next(iter(steps.measure(plan, stand))).note.startswith("out of memory")


def test_the_calls_in_the_docs_measure_all_parts_in_less_than_ten_minutes_each() -> None:
    told = (ROOT / "docs" / "backends.md").read_text()
    calls = [names.split(",") for names in re.findall(r"^python -m benchmarks gpu --parts (\S+)", told, re.M)]
    assert sorted(part for parts in calls for part in parts) == sorted(PARTS)
    soak = 60 * _parser().parse_args([]).soak_minutes
    assert soak == 300
    assert all(sum(PARTS[part] + (part == "soak") * soak for part in parts) < 600 for parts in calls)


@pytest.mark.parametrize(("tests", "figures", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (2, 1, 2)])
def test_make_gpu_check_measures_whatever_the_tests_say(
    tmp_path: Path, tests: int, figures: int, code: int
) -> None:
    """With programs of the same names that do nothing; make itself exits with 2 and tells the code."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    told = tmp_path / "told"
    programs = {
        "pytest": f"echo tests >> {told}; exit {tests}",
        "python": f'[ "$1" = -c ] && exit 0; echo "$@" >> {told}; exit {figures}',
    }
    for name, body in programs.items():
        (binaries / name).write_text(f"#!/bin/sh\n{body}\n")
        (binaries / name).chmod(0o755)
    (tmp_path / ".ready").touch()
    made = subprocess.run(
        ["make", "gpu-check", f"VENV={tmp_path}", f"BIN={binaries}"], cwd=ROOT, capture_output=True, text=True
    )
    assert told.read_text().splitlines() == ["tests", "-m benchmarks gpu"]
    assert (f"Error {code}" in made.stderr) == bool(code), made.stderr
    assert bool(made.returncode) == bool(code)


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
