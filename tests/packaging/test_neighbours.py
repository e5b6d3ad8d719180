"""The client in environments that are not its own: on its floors, beside protobuf 6 and its day's clients, on protobuf 7.

Packages come from the package index.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from kandinsky_server.testing.running import RunningServer

from tests.packaging.environments import environment, run

pytestmark = pytest.mark.slow

NEIGHBOURS: dict[str, list[str]] = {
    "the floors": ["protobuf==6.31.1", "grpcio==1.74.0", "grpcio-status==1.74.0"],
    "protobuf 6": ["protobuf==6.33.*", "grpcio==1.76.0", "grpcio-status==1.76.0", "tritonclient[grpc]"],
    "protobuf 7": ["protobuf==7.*"],
}
LOOK = "import google.protobuf as p, grpc; print(p.__version__, grpc.__version__)"


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_the_client_serves_beside_them(
    wheels: dict[str, Path], tiny_model: Path, tmp_path: Path, name: str
) -> None:
    wanted = NEIGHBOURS[name]
    commands = environment(tmp_path / "venv", [wheels["client"]], *wanted)
    found = run(commands / "python", "-c", LOOK).split()
    for version, requirement in zip(found, wanted, strict=False):
        assert version.startswith(requirement.partition("==")[2].removesuffix("*"))
    if "tritonclient[grpc]" in wanted:
        run(commands / "python", "-W", "error", "-c", "import tritonclient.grpc, kandinsky_client.public")
    with RunningServer(tiny_model) as server:
        kandinsky: list[str | Path] = [commands / "kandinsky", "--target", server.target]
        run(*kandinsky, "prior", "a red circle", "--step-count", "2", "-o", "a.safetensors", folder=tmp_path)
        said = run(*kandinsky, "decode", "a.safetensors", "--step-count", "2", folder=tmp_path)
    assert "wrote a.png" in said
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
