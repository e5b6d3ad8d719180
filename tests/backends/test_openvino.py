"""Networks in OpenVINO on the CPU."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kandinsky_backends import openvino as backend_module
from kandinsky_backends.base import BackendUnavailable, BatchShape, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.openvino import OpenvinoBackend, OpenvinoNetwork, fingerprint
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.parity import prepare_with_parity
from kandinsky_backends.reference import reference_network, reference_shape
from kandinsky_backends.registry import resolve_auto
from kandinsky_backends.testing import BackendContract
from torch import nn

from tests.support.extras import needs

pytestmark = needs("openvino")
CPU = torch.device("cpu")
ONE_THREAD = BackendOptions(threads=1)


class TestOpenvino(BackendContract):
    backend = OpenvinoBackend
    options = ONE_THREAD


@pytest.mark.slow
@pytest.mark.parametrize(
    "role",
    [Role.MOVQ_DECODER, Role.MOVQ_ENCODER, Role.TEXT_ENCODER, Role.IMAGE_ENCODER, Role.HINT_ENCODER],
)
def test_the_other_networks_are_converted_too(role: Role) -> None:
    shapes = [reference_shape(role, rows) for rows in (1, 3)]
    backend = OpenvinoBackend(ONE_THREAD)
    prepared = prepare_with_parity(backend, reference_network(role), role, shapes, torch.float32, strict=True)
    assert prepared.backend_name == "openvino"


def test_the_second_start_converts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = BackendOptions(threads=1, cache_dir=tmp_path / "cache")
    shape = reference_shape(Role.PRIOR, 2)
    inputs = shape.random_inputs(CPU)
    first = OpenvinoBackend(options).prepare(reference_network(Role.PRIOR), Role.PRIOR, [shape])(*inputs)
    assert len(list((tmp_path / "cache").iterdir())) == 1, "no draft is left behind"

    def refuse(*_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(backend_module, "convert", refuse)
    second = OpenvinoBackend(options).prepare(reference_network(Role.PRIOR), Role.PRIOR, [shape])(*inputs)
    assert torch.equal(first[0], second[0])


def test_without_a_cache_dir_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = nn.Linear(4, 4)
    prepared = OpenvinoBackend(ONE_THREAD).prepare(network, Role.PRIOR, [])
    inputs = (torch.randn(3, 4),)
    torch.testing.assert_close(prepared(*inputs), EagerNetwork(network)(*inputs))
    assert not list(tmp_path.iterdir())


def test_a_changed_weight_or_structure_is_another_network() -> None:
    torch.manual_seed(0)
    network = nn.Linear(4, 4)
    before = fingerprint(network)
    assert fingerprint(network) == before
    assert fingerprint(nn.Sequential(network)) != before
    with torch.no_grad():
        network.weight[3, 3] += 1e-6
    assert fingerprint(network) != before


@pytest.mark.slow
@pytest.mark.parametrize("role", [Role.PRIOR, Role.UNET, Role.MOVQ_DECODER])
def test_bfloat16_networks_run_in_bfloat16_and_keep_their_weights(role: Role) -> None:
    network = reference_network(role).bfloat16()
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    shapes = [_in_bfloat16(reference_shape(role, rows)) for rows in (1, 3)]
    backend = OpenvinoBackend(BackendOptions(threads=1, dtype=torch.bfloat16))
    backend.probe(CPU)
    prepared = prepare_with_parity(backend, network, role, shapes, torch.bfloat16, strict=True)
    assert prepared.backend_name == "openvino"
    assert {output.dtype for output in prepared.network(*shapes[1].random_inputs(CPU))} == {torch.bfloat16}
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_bfloat16_is_told_to_openvino() -> None:
    options = BackendOptions(threads=1, dtype=torch.bfloat16)
    network = OpenvinoBackend(options).prepare(nn.Linear(4, 4).bfloat16(), Role.PRIOR, [])
    assert isinstance(network, OpenvinoNetwork)
    network(torch.zeros(2, 4, dtype=torch.bfloat16))
    assert network._compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "bf16"


def _in_bfloat16(shape: BatchShape) -> BatchShape:
    """As the server has it: latents, embeddings and images in the networks' dtype, timesteps in float32."""
    sizes = zip(shape.samples, shape.dtypes, strict=True)
    kinds = [torch.bfloat16 if kind.is_floating_point and sample else kind for sample, kind in sizes]
    return replace(shape, dtypes=tuple(kinds))


def test_half_precision_is_refused_in_words() -> None:
    with pytest.raises(BackendUnavailable, match=r"float32 or bfloat16.*--dtype fp32 or bf16"):
        OpenvinoBackend(ONE_THREAD).prepare(nn.Linear(4, 4).half(), Role.PRIOR, [])


def test_other_dtypes_are_refused_before_anything_is_loaded() -> None:
    with pytest.raises(BackendUnavailable, match=r"float32 or bfloat16.*--dtype fp32 or bf16"):
        OpenvinoBackend(BackendOptions(dtype=torch.float16)).probe(CPU)


def test_auto_serves_other_dtypes_with_eager() -> None:
    assert resolve_auto(BackendOptions(), CPU) == "openvino"
    assert resolve_auto(BackendOptions(dtype=torch.bfloat16), CPU) == "openvino"
    assert resolve_auto(BackendOptions(dtype=torch.float16), CPU) == "eager"


def test_a_broken_file_in_the_cache_is_replaced(tmp_path: Path) -> None:
    options = BackendOptions(threads=1, cache_dir=tmp_path)
    network, shape = reference_network(Role.PRIOR), reference_shape(Role.PRIOR, 2)
    OpenvinoBackend(options).prepare(network, Role.PRIOR, [shape])
    (graph,) = tmp_path.glob("*/network.xml")
    blobs = list(graph.parent.glob("*.blob"))
    for file in (graph, *blobs):
        file.write_bytes(file.read_bytes()[:100])
    for _ in range(2):
        OpenvinoBackend(options).prepare(network, Role.PRIOR, [shape])
    assert graph.stat().st_size > 100


def test_another_configuration_is_another_network() -> None:
    network: Any = nn.Linear(4, 4)
    network.config = {"flip_sin_to_cos": True, "_name_or_path": "here"}
    before = fingerprint(network)
    network.config = {"flip_sin_to_cos": True, "_name_or_path": "there"}
    assert fingerprint(network) == before
    network.config = {"flip_sin_to_cos": False}
    assert fingerprint(network) != before


def test_the_probe_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendUnavailable, match="on the CPU"):
        OpenvinoBackend(ONE_THREAD).probe(torch.device("cuda"))
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(backend_module, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"not installed.*pip install"):
        OpenvinoBackend(ONE_THREAD).probe(CPU)


CONVERT = """
import sys
import torch
from kandinsky_backends.openvino import convert

forks = []
sys.addaudithook(lambda event, _: forks.append(event) if event in ("os.fork", "socket.connect") else None)
convert(torch.nn.Linear(2, 2).eval(), (torch.zeros(1, 2),))
assert not forks, forks
assert sys.modules["openvino_telemetry"] is None
"""


def test_converting_reports_to_nobody() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    subprocess.run([sys.executable, "-c", CONVERT], check=True, timeout=120, env=environment)


def test_what_the_cache_lacks_is_prepared_in_the_background(tmp_path: Path) -> None:
    backend = OpenvinoBackend(BackendOptions(threads=1, cache_dir=tmp_path))
    network, shapes = reference_network(Role.UNET), [reference_shape(Role.UNET, rows) for rows in (1, 2)]
    preparation = backend.begin(network, Role.UNET, shapes)
    assert preparation
    with ThreadPoolExecutor(1) as other_thread:
        other_thread.submit(preparation.wait).result(60)
    inputs = shapes[1].random_inputs(CPU)
    torch.testing.assert_close(
        preparation.finish(2)(*inputs), EagerNetwork(network)(*inputs), atol=1e-4, rtol=0
    )
    assert backend.begin(network, Role.UNET, shapes) is None, "it is kept now"
    again = OpenvinoBackend(ONE_THREAD).begin(network, Role.UNET, shapes)
    assert again, "nothing is kept"
    again.cancel()
    with pytest.raises(BackendUnavailable):
        again.wait()
