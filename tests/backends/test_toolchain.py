"""What `compiled` asks of a machine with CUDA, which is played here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kandinsky_backends import toolchain
from kandinsky_backends.base import BackendUnavailable
from kandinsky_backends.compiled import CompiledBackend
from kandinsky_backends.options import BackendOptions


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder of programs there is, empty, on a machine with CUDA and Triton."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(toolchain, "has_triton", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path


def put(program: Path) -> Path:
    program.touch(mode=0o755)
    return program


def probe() -> None:
    CompiledBackend(BackendOptions()).probe(torch.device("cuda"))


@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_either_c_compiler_will_do(programs: Path, name: str) -> None:
    put(programs / name)
    probe()


def test_without_a_c_compiler_it_says_how_to_get_one() -> None:
    with pytest.raises(BackendUnavailable, match=r"C compiler.*there is none.*apt-get install gcc"):
        probe()


def test_the_variable_that_triton_reads_counts(
    programs: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", str(put(tmp_path_factory.mktemp("opt") / "my-cc")))
    probe()
    put(programs / "gcc")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BackendUnavailable, match="CC names 'no-such-compiler'"):
        probe()


def test_without_triton_it_says_so(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(programs / "gcc")
    monkeypatch.setattr(toolchain, "has_triton", lambda: False)
    with pytest.raises(BackendUnavailable, match=r"Triton, which is not installed.*--backend graphs"):
        probe()
