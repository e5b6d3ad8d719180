"""`kandinsky backends list` and `check`."""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from kandinsky_backends import cli
from kandinsky_backends.base import Backend, BackendUnavailable, BatchShape, NamedNetwork, Network, Role
from kandinsky_backends.check import networks_to_check
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.parity import TOLERANCES
from kandinsky_backends.reference import reference_network, reference_shape
from kandinsky_backends.registry import BackendStatus
from torch import Tensor, nn
from typer.testing import CliRunner, Result

CPU = torch.device("cpu")


class FakeBackend:
    """Eager, wrong by ``error`` for more than one row."""

    name = "fake"

    def __init__(self, error: float) -> None:
        self._error = error

    def probe(self, device: torch.device) -> None:
        pass

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        eager = EagerNetwork(network)

        def call(*inputs: Tensor) -> tuple[Tensor, ...]:
            return tuple(output + self._error * (len(output) > 1) for output in eager(*inputs))

        return call


def one_network(
    model: str | None, device: torch.device, dtype: torch.dtype = torch.float32
) -> Iterable[NamedNetwork]:
    return [
        NamedNetwork("prior", Role.PRIOR, reference_network(Role.PRIOR), (reference_shape(Role.PRIOR, 1),))
    ]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Makes `check` see one small network and no new thread count."""
    monkeypatch.setattr(cli, "networks_to_check", one_network)
    monkeypatch.setattr(cli, "set_threads", lambda count: 1)
    return monkeypatch


def serve_with(monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
    monkeypatch.setattr(cli, "get_backend", lambda name, options, device: backend)


def test_list_says_what_is_available_and_how_to_get_the_rest() -> None:
    result = run("list", "--json", "--device", "cpu")
    assert result.exit_code == 0
    statuses = {status["name"]: status for status in json.loads(result.stdout)}
    assert statuses["eager"] == {"name": "eager", "available": True, "reason": "", "hint": ""}
    assert "CUDA only" in statuses["xformers"]["reason"]
    assert "available" in run("list", "--device", "cpu").stdout


def test_check_passes_a_backend_that_is_right(check: pytest.MonkeyPatch) -> None:
    serve_with(check, FakeBackend(error=0.0))
    result = run("check", "fake", "--json", "--rows", "1,3")
    assert result.exit_code == 0
    first, second = json.loads(result.stdout)
    assert (first["rows"], second["rows"]) == (1, 3)
    assert second["passed"]
    assert second["parity"]["difference"] == 0
    assert second["step_seconds"] > 0
    assert second["eager_seconds"] > 0
    assert second["peak_memory_bytes"] > 1e6


def test_check_fails_a_backend_that_is_wrong_for_some_rows(check: pytest.MonkeyPatch) -> None:
    serve_with(check, FakeBackend(error=0.5))
    result = run("check", "fake", "--json", "--rows", "1,2")
    assert result.exit_code == 1
    assert [row["passed"] for row in json.loads(result.stdout)] == [True, False]
    assert "FAIL" in run("check", "fake", "--rows", "2").stdout


def test_check_reports_what_a_backend_fails_with(check: pytest.MonkeyPatch) -> None:
    class Failing(FakeBackend):
        def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
            raise BackendUnavailable("No kernel for this GPU.")

    serve_with(check, Failing(error=0.0))
    result = run("check", "fake", "--json")
    assert result.exit_code == 1
    assert "No kernel for this GPU." in json.loads(result.stdout)[0]["error"]


def test_check_of_an_unknown_backend_lists_those_there_are(check: pytest.MonkeyPatch) -> None:
    result = run("check", "tensorrt")
    assert result.exit_code == 1
    assert "There is no backend 'tensorrt'" in result.stderr


@pytest.mark.parametrize("arguments", [("--rows", "0"), ("--rows", "two"), ("--device", "abacus")])
def test_bad_arguments_are_named(check: pytest.MonkeyPatch, arguments: tuple[str, str]) -> None:
    result = run("check", "eager", *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr


def test_without_the_server_small_networks_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kandinsky_backends.check.entry_points", lambda group: [])
    assert {named.role for named in networks_to_check(None, CPU)} == set(Role)
    with pytest.raises(BackendUnavailable, match=r"load 'my-model'.*pip install kandinsky-server"):
        networks_to_check("my-model", CPU)


def test_check_says_which_model_cannot_be_loaded() -> None:
    result = run("check", "eager", "--model", "/no/such/folder", "--threads", "1")
    assert result.exit_code == 1
    assert "/no/such/folder" in result.stderr


def test_advice_keeps_its_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    advice = 'Run pip install "kandinsky-server[openvino]".'
    status = BackendStatus("fake", False, "[red]none[/red]", advice)
    monkeypatch.setattr(cli, "available_backends", lambda options, device: [status])
    shown = "".join(run("list").stdout.replace("│", " ").split())
    assert "[red]none[/red]" in shown
    assert "[openvino]" in shown

    def refuse(*_: object) -> NoReturn:
        raise BackendUnavailable("No openvino here.", advice)

    monkeypatch.setattr(cli, "get_backend", refuse)
    assert "[openvino]" in run("check", "fake").stderr


@pytest.mark.slow
def test_check_prints_nothing_of_its_libraries(tiny_model: Path) -> None:
    script = "from kandinsky_backends.cli import app; app()"
    flags = ["check", "eager", "--model", str(tiny_model), "--rows", "1", "--threads", "1"]
    ended = subprocess.run(
        [sys.executable, "-c", script, *flags], capture_output=True, text=True, timeout=200
    )
    assert ended.returncode == 0, ended
    assert ended.stderr == ""
    assert "decoder (unet)" in ended.stdout


@pytest.mark.slow
def test_check_takes_the_servers_networks_in_the_dtype_asked_for(toy_model: Path) -> None:
    result = run("check", "eager", "--dtype", "bf16", "--rows", "1", "--json", "--threads", "1")
    rows = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {row["stage"] for row in rows} > {"prior", "decoder", "inpaint", "controlnet"}
    assert {row["parity"]["tolerance"] for row in rows} == {TOLERANCES[torch.bfloat16]}


def test_small_networks_are_checked_in_the_dtype_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kandinsky_backends.check.entry_points", lambda group: [])
    for named in networks_to_check(None, CPU, torch.bfloat16):
        outputs = EagerNetwork(named.module)(*named.shapes[0].random_inputs(CPU))
        assert {output.dtype for output in outputs} == {torch.bfloat16}


def test_an_unknown_dtype_is_refused() -> None:
    result = run("check", "eager", "--dtype", "int8")
    assert result.exit_code == 2
    assert "fp32, fp16, bf16" in result.stderr
