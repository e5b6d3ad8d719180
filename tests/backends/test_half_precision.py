"""What this CPU gains by bf16."""

from pathlib import Path

import pytest
import torch
from kandinsky_backends.half_precision import Bf16, advice, instructions


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("fpu avx512f avx512_bf16 amx_tile amx_bf16", Bf16.AMX),
        ("fpu avx512f avx512_bf16", Bf16.AVX512),
        ("fpu avx2", None),
    ],
)
def test_the_best_instructions_count(tmp_path: Path, flags: str, found: Bf16 | None) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: {flags}\n")
    assert instructions(file) is found


def test_a_system_without_the_file_has_none_that_are_known(tmp_path: Path) -> None:
    assert instructions(tmp_path / "missing") is None


def test_the_advice_names_instructions_and_gain() -> None:
    assert "AMX-BF16: --dtype bf16 would take 0.34" in advice(torch.float32, Bf16.AMX)
    assert "AVX512-BF16: bf16 takes 0.78" in advice(torch.bfloat16, Bf16.AVX512)
    assert "likely slower" in advice(torch.bfloat16, None)
    assert "fp16 is slower" in advice(torch.float16, Bf16.AMX)
