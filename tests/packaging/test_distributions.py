"""The three distributions as their users get them: built, looked into, each installed in an environment of its own.

The client's environment takes its dependencies from the package index; the others need none, or see this one's.
"""

import email
import zipfile
from pathlib import Path

import pytest
import torch
from kandinsky_server.testing.running import RunningServer

from tests.packaging.conftest import FOLDERS
from tests.packaging.environments import environment, run
from tests.packaging.test_versions import ROOT, project

pytestmark = pytest.mark.slow

PACKAGES = {
    "client": {"kandinsky_api", "kandinsky_client"},
    "server": {"kandinsky_server", "kandinsky_backends"},
    "toy": {"kandinsky_toy"},
}
MOST_BYTES = {"client": 200_000, "server": 400_000, "toy": 25_000_000}
STAGES = ["controlnet", "decoder", "depth", "inpaint", "prior"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_has_its_packages_licence_and_readme(wheels: dict[str, Path], name: str) -> None:
    described = project(FOLDERS[name])
    about = f"kandinsky_{name}-{described['version']}.dist-info"
    wheel = zipfile.ZipFile(wheels[name])
    assert {entry.split("/")[0] for entry in wheel.namelist()} == {*PACKAGES[name], about}
    assert wheel.read(f"{about}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    metadata = email.message_from_bytes(wheel.read(f"{about}/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_payload(decode=True) == (FOLDERS[name] / described["readme"]).read_bytes()
    assert wheels[name].stat().st_size < MOST_BYTES[name]


def test_the_client_works_without_the_server(
    wheels: dict[str, Path], tiny_model: Path, tmp_path: Path
) -> None:
    commands = environment(
        tmp_path / "venv", [wheels["client"]], "--constraint", str(ROOT / "constraints.txt")
    )
    foreign = ["torch", "diffusers", "kandinsky_server", "kandinsky_backends", "kandinsky_toy"]
    find = f"import importlib.util as u; print([n for n in {foreign} if u.find_spec(n)])"
    assert run(commands / "python", "-c", find) == "[]\n"
    assert "generate" in run(commands / "kandinsky", "--help")
    for command in ("serve", "backends"):
        assert "pip install kandinsky-server" in run(commands / "kandinsky", command, "--help", code=1)
    with RunningServer(tiny_model) as server:
        kandinsky: list[str | Path] = [commands / "kandinsky", "--target", server.target]
        assert f"model {tiny_model.name} on cpu" in run(*kandinsky, "info")
        said = run(*kandinsky, "generate", "a red circle", "--step-count", "2", folder=tmp_path)
    assert "wrote generate.png" in said
    assert (tmp_path / "generate.png").read_bytes().startswith(b"\x89PNG")


def test_the_toy_model_needs_nothing(wheels: dict[str, Path], tmp_path: Path) -> None:
    commands = environment(tmp_path / "venv", [wheels["toy"]], "--no-index")
    look = "import kandinsky_toy, pathlib as p; f = p.Path(kandinsky_toy.__file__).parent; " + (
        "print(sorted(s.name for s in f.iterdir() if list(s.rglob('*.safetensors'))))"
    )
    assert run(commands / "python", "-c", look) == f"{STAGES}\n"


def test_the_server_is_ready_to_serve_the_toy_model(wheels: dict[str, Path], tmp_path: Path) -> None:
    commands = environment(tmp_path / "venv", wheels.values(), "--no-deps", "--no-index")
    (site,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    # torch and the like are taken from where they are; path files that lie there are not read, so no editable install is.
    (site / "others.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    packages = sorted(set.union(*PACKAGES.values()))
    where = f"import {', '.join(packages)}; print(*(m.__file__ for m in ({', '.join(packages)})), sep='\\n')"
    found = run(commands / "python", "-c", where).splitlines()
    assert found == [str(site / package / "__init__.py") for package in packages]
    assert "eager" in run(commands / "kandinsky", "backends", "list", "--device", "cpu")
    checked = run(
        commands / "kandinsky", "serve", "--check", "--device", "cpu", "--port", "0", "--metrics-port", "0"
    )
    assert str(site / "kandinsky_toy") in checked
