"""Backends are found by name among the installed packages, and say why when they are not."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from kandinsky_backends import registry
from kandinsky_backends.base import BackendUnavailable
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.registry import BackendStatus, available_backends, backend_names, get_backend

PROBE_FAILS = """
class Backend:
    def __init__(self, options): pass
    def probe(self, device): raise ImportError('libgone.so: cannot open shared object file')
"""

CPU = torch.device("cpu")
OPTIONS = BackendOptions()
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a package with one backend on the path: a module's source under an entry-point name."""

    def install(name: str, source: str) -> None:
        metadata = tmp_path / f"{name}_package-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-package\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[kandinsky.backends]\n{name} = {name}_module:Backend\n")
        (tmp_path / f"{name}_module.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)

    return install


def test_the_built_in_backends_come_through_their_entry_points() -> None:
    assert {"eager", "compiled", "graphs", "xformers", "openvino"} <= set(backend_names())
    assert get_backend("eager", OPTIONS, CPU).name == "eager"


def test_an_unknown_name_lists_those_there_are_and_how_to_add_one() -> None:
    with pytest.raises(BackendUnavailable) as raised:
        get_backend("tensorrt", OPTIONS, CPU)
    assert "'tensorrt'" in raised.value.reason
    assert "auto, compiled, eager" in raised.value.reason
    assert "pip install 'kandinsky-server[openvino]'" in raised.value.hint


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import a_library_that_is_gone", "No module named 'a_library_that_is_gone'"),
        ("raise RuntimeError('driver too old')", "RuntimeError: driver too old"),
        ("class Other: pass", "has no attribute 'Backend'"),
        ("def Backend(options): raise OSError('no licence file')", "OSError: no licence file"),
        (PROBE_FAILS, "ImportError: libgone.so"),
    ],
)
def test_a_backend_that_fails_to_load_reports_its_own_error(
    install: Install, source: str, message: str
) -> None:
    install("broken", source)
    with pytest.raises(BackendUnavailable) as raised:
        get_backend("broken", OPTIONS, CPU)
    assert message in raised.value.reason
    assert "broken-package" in raised.value.reason
    assert "There is no backend" not in raised.value.reason


def test_a_broken_backend_hides_no_other(install: Install) -> None:
    install("broken", "import a_library_that_is_gone")
    statuses = {status.name: status for status in available_backends(OPTIONS, CPU)}
    assert not statuses["broken"].available
    assert "a_library_that_is_gone" in statuses["broken"].reason
    assert statuses["eager"] == BackendStatus("eager", available=True)


def test_auto_on_the_cpu_is_openvino_and_eager_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    usable = {"openvino": True}
    monkeypatch.setattr(
        registry, "backend_status", lambda name, *_: BackendStatus(name, usable.get(name, False))
    )
    assert registry.resolve_auto(OPTIONS, CPU) == "openvino"
    usable["openvino"] = False
    assert registry.resolve_auto(OPTIONS, CPU) == "eager"


def test_auto_on_cuda_is_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "backend_status", lambda name, *_: BackendStatus(name, True))
    assert registry.resolve_auto(OPTIONS, torch.device("cuda")) == "graphs"


def test_auto_is_eager_where_results_must_not_change() -> None:
    assert registry.resolve_auto(BackendOptions(deterministic=True), CPU) == "eager"


@pytest.mark.parametrize("buckets", [(), (0, 1), (2, 1), (1, 1)])
def test_buckets_are_ascending_row_counts(buckets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        BackendOptions(buckets=buckets)
