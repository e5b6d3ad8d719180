"""One client, one Decode: its wall time over that of the same pipeline called in a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from kandinsky_api.v1 import image_pb2
from kandinsky_backends.options import DTYPES

from benchmarks.figure import Figure, at_most
from benchmarks.load import Material
from benchmarks.naive import Pipelines
from benchmarks.setting import Setting

STEPS = 50
SEED = 1


def measure(setting: Setting) -> Iterator[Figure]:
    """Turn by turn: once through the server, once diffusers' own pipeline in this process, no gRPC."""
    torch.set_num_threads(setting.threads)
    pipelines = Pipelines(setting.model, setting.device, DTYPES[setting.dtype])
    served, called = [], []
    with setting.ours() as server, server.client() as client:
        pair = Material.of(client).pair
        request = image_pb2.DecodeRequest(
            embeddings=[pair.to_message()], sampling=image_pb2.Sampling(seed=SEED, step_count=STEPS)
        )
        for _ in range(setting.scaled(11, 3)):
            served.append(_seconds(lambda: client.decode(pair, seed=SEED, step_count=STEPS)))
            called.append(_seconds(lambda: pipelines.decode(request)))
    yield Figure(
        f"one client over in-process, {setting.backend}",
        at_most(1.05),
        [a / b for a, b in zip(served[1:], called[1:], strict=True)],
        "x",
        setting.command("single"),
        f"{STEPS} steps: {min(served):.3f} s served, {min(called):.3f} s in a process, at best",
    )


def _seconds(action: Callable[[], Any]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started
