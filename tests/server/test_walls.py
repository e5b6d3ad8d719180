"""Imports point one way: rpc -> flows -> engine, diffusion -> backends; in no circle. Read, not run."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from kandinsky_server.families.kandinsky22.family import KANDINSKY22

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "server" / "kandinsky_server"
PROTOBUF = ("google", "grpc", "grpc_status", "kandinsky_api")

STARTED = ("kandinsky_server.app", "kandinsky_server.lifecycle")
"""What puts the rooms together and runs them; no room knows of it."""

BELOW_FLOWS = (
    *PROTOBUF,
    "kandinsky_client",
    "kandinsky_server.rpc",
    "kandinsky_server.flows",
    *STARTED,
    "kandinsky_server.settings",
    "kandinsky_server.startup",
    "kandinsky_server.telemetry",
)
"""What rooms below ``flows`` must not import."""

FORBIDDEN = {
    "server/kandinsky_server/engine": (
        "diffusers",
        "transformers",
        "kandinsky_server.diffusion",
        *BELOW_FLOWS,
    ),
    "server/kandinsky_server/diffusion": BELOW_FLOWS,
    "server/kandinsky_server/families": ("kandinsky_server.checkpoints", *BELOW_FLOWS),
    "server/kandinsky_server/checkpoints": BELOW_FLOWS,
    "server/kandinsky_server/telemetry": (
        "kandinsky_client",
        *STARTED,
        "kandinsky_server.flows",
        "kandinsky_server.rpc",
        "kandinsky_server.startup",
    ),
    "server/kandinsky_server/settings": (
        *PROTOBUF,
        "kandinsky_client",
        *STARTED,
        "kandinsky_server.flows",
        "kandinsky_server.rpc",
        "kandinsky_server.startup",
        "kandinsky_server.telemetry",
    ),
    "server/kandinsky_server/startup": ("kandinsky_client", *STARTED, "kandinsky_server.rpc"),
    "server/kandinsky_server/images": ("torch", "diffusers", "transformers", *BELOW_FLOWS),
    "server/kandinsky_server/flows": (
        *PROTOBUF,
        "kandinsky_client",
        "kandinsky_server.rpc",
        *STARTED,
        "kandinsky_server.settings",
        "kandinsky_server.startup",
        "kandinsky_server.telemetry",
    ),
    "server/kandinsky_server/rpc": ("kandinsky_client", "kandinsky_server.ray", *STARTED),
    "server/kandinsky_server/app.py": ("kandinsky_server.lifecycle", "kandinsky_server.ray"),
    "backends/kandinsky_backends": (*PROTOBUF, "kandinsky_client", "kandinsky_server"),
    "clients/python/kandinsky_client": (
        "kandinsky_server",
        "kandinsky_backends",
        "torch",
        "diffusers",
        "transformers",
    ),
}
"""For each room what it must not import; a package's name stands for all that is in it."""

ENGINE_PARTS_OF_DIFFUSION = {"trajectory", "network", "cost", "report", "errand"}
"""All of the engine that diffusion may know."""


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, also inside functions; names taken from a package are added to it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


@pytest.mark.parametrize("room", FORBIDDEN)
def test_room_imports_nothing_it_must_not_know(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py")) or [ROOT / room]
    broken = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in imports(file)
        if any(within(module, package) for package in FORBIDDEN[room])
    ]
    assert broken == []


def test_diffusion_knows_the_engine_only_by_its_interfaces() -> None:
    known = {
        module.split(".")[2]
        for file in (SERVER / "diffusion").rglob("*.py")
        for module in imports(file)
        if within(module, "kandinsky_server.engine")
    }
    assert known <= ENGINE_PARTS_OF_DIFFUSION


def test_protobuf_stays_in_the_grpc_layer() -> None:
    outside = {
        file.relative_to(SERVER).parts[0]
        for file in SERVER.rglob("*.py")
        for module in imports(file)
        if within(module, "google.protobuf") or within(module, "kandinsky_api")
    }
    assert outside == {"rpc", "ray"}


def test_one_file_alone_chooses_the_family() -> None:
    """All others are told of it: another family is a folder beside the first, and a choice there."""
    choosing = [
        str(file.relative_to(SERVER))
        for file in outside_families()
        if any(within(module, "kandinsky_server.families.kandinsky22") for module in imports(file))
    ]
    assert choosing == ["checkpoints/source.py"]


def test_stages_are_named_by_their_family_alone() -> None:
    """Elsewhere code asks the spec of a stage what it needs to know, or the family which stage serves an RPC."""
    named = [
        f"{file.relative_to(SERVER)}:{node.lineno} says {node.value!r}"
        for file in outside_families()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and names_a_stage(node.value)
    ]
    assert named == []


def names_a_stage(text: str) -> bool:
    """Whether a string is a stage's name, or has its flag in it; in a sentence the name is a word like others."""
    return any(text.strip(" ,/-") == name or f"--{name}" in text for name in KANDINSKY22.stages)


def outside_families() -> Iterator[Path]:
    """The server's files; those of `kandinsky_server.testing` may know one family."""
    for file in sorted(SERVER.rglob("*.py")):
        if file.relative_to(SERVER).parts[0] not in ("families", "testing"):
            yield file


@pytest.mark.parametrize("room", ["server", "backends", "clients/python/kandinsky_client", "models"])
def test_what_is_shipped_imports_nothing_that_is_not(room: str) -> None:
    broken = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in (ROOT / room).rglob("*.py")
        for module in imports(file)
        if any(within(module, kept) for kept in ("training", "tests", "benchmarks", "demo"))
    ]
    assert broken == []


PACKAGES = (
    "server/kandinsky_server",
    "backends/kandinsky_backends",
    "clients/python/kandinsky_client",
    "benchmarks",
    "demo",
    "training",
    "tests",
)


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its name."""
    top = ROOT / package
    found = {}
    for file in top.rglob("*.py"):
        parts = file.relative_to(top.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Imports inside functions and those for type checkers count: a circle is one, whenever it is walked."""
    files = {name: file for package in PACKAGES for name, file in modules(package).items()}
    graph: dict[str, set[str]] = {name: set() for name in files}
    for name, file in files.items():
        for module in imports(file):
            while module and module not in files:
                module = module.rpartition(".")[0]
            graph[name] |= {module} - {name, ""}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" imports ".join(reversed(circle.args[1])))


@pytest.mark.parametrize("room", ["benchmarks", "demo", "training", "deploy"])
def test_nothing_but_tests_imports_tests(room: str) -> None:
    broken = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in (ROOT / room).rglob("*.py")
        for module in imports(file)
        if within(module, "tests")
    ]
    assert broken == []
