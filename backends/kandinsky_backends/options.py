"""What a user may ask of a backend."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch

AUTO = "auto"
"""What suits the device, of backends, devices and dtypes."""

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Attention(StrEnum):
    """How eager computes attention: ``sdpa`` is fused and fast, ``math`` is the plain two matrix products."""

    SDPA = "sdpa"
    MATH = "math"


PREPARED_ROWS = 16
"""The most rows of a call that networks are prepared for, unless buckets are asked for."""


@dataclass(frozen=True)
class BackendOptions:
    """The one argument of every backend: the entry point's object is called as ``BackendClass(options)``.

    A backend uses what concerns it and ignores the rest.

    Attributes:
        threads: CPU threads of one network call; ``None`` is what torch uses (see ``threads.set_threads``).
        attention: eager's attention.
        deterministic: nothing that may change a bit of the result between runs: math attention, and ``auto``
            is eager.
        cache_dir: where compiled networks are kept for the next start; ``None`` keeps none.
        buckets: row counts that ``compiled`` compiles and pads batches to, ascending; ``None``: programs that take
            any row count as it is.
        dtype: of the networks' weights.
    """

    threads: int | None = None
    attention: Attention = Attention.SDPA
    deterministic: bool = False
    cache_dir: Path | None = None
    buckets: tuple[int, ...] | None = None
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, not {self.threads}")
        buckets = self.buckets
        if buckets is not None and (list(buckets) != sorted(set(buckets)) or min(buckets, default=0) < 1):
            raise ValueError(f"buckets must be ascending row counts of at least 1, not {buckets}")
