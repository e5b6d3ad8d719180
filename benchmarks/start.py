"""`kandinsky serve` to SERVING."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import torch
from kandinsky_backends.options import DTYPES, BackendOptions
from kandinsky_backends.registry import available_backends

from benchmarks.figure import Figure, at_most
from benchmarks.process import ServerFailed
from benchmarks.setting import Setting

LIMIT_SECONDS = 10.0
LONG_SECONDS = 60.0
"""A start that takes longer is not repeated."""


def measure(setting: Setting) -> Iterator[Figure]:
    """From the new process to gRPC health's word, every backend with an empty cache, as users start it.

    Without --strict-backend `compiled` and `openvino` serve from eager until their networks are ready.
    One start before puts packages and weights into the page cache.
    """
    with setting.ours():
        pass
    for backend in setting.backends or _available(setting):
        yield cold(setting, backend, setting.scaled(3, 1), LIMIT_SECONDS)


def cold(setting: Setting, backend: str, times: int, limit: float, patience: float = 1800.0) -> Figure:
    """Starts of one backend that find nothing kept; held to ``limit`` seconds, given up after ``patience``."""
    name = f"cold start to SERVING, {backend}"
    samples: list[float] = []
    while len(samples) < times and max(samples, default=0.0) < LONG_SECONDS:
        with tempfile.TemporaryDirectory() as cache:
            flags = ("--backend-cache-dir", cache)
            try:
                with setting.ours(*flags, backend=backend, patience=patience, strict=False) as server:
                    samples.append(server.start_seconds)
            except ServerFailed as error:
                return Figure(name, at_most(limit), [], " s", setting.command("start"), str(error))
    return Figure(name, at_most(limit), samples, " s", setting.command("start"))


def _available(setting: Setting) -> list[str]:
    options = BackendOptions(threads=setting.threads, dtype=DTYPES[setting.dtype])
    found = available_backends(options, torch.device(setting.device))
    return [status.name for status in found if status.available]
