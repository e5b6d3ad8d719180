"""All requests alike, eight clients: images a second over one call of diffusers' pipeline for a batch of eight."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from kandinsky_api.v1 import image_pb2

from benchmarks.alike import STEPS
from benchmarks.decoding import Decoding, seconds
from benchmarks.figure import Figure, at_least
from benchmarks.naive import Pipelines
from benchmarks.setting import Setting

IMAGES = 8


def measure(setting: Setting) -> Iterator[Figure]:
    """Turn by turn: the pipeline in this process in fp32, no gRPC, then the server in the setting's dtype."""
    torch.set_num_threads(setting.threads)
    pipelines = Pipelines(setting.model, setting.device)
    batched, served = [], []
    with setting.ours() as server:
        decoding = Decoding.on(server, STEPS)
        request = image_pb2.DecodeRequest(
            embeddings=[decoding.pair.to_message()],
            sampling=image_pb2.Sampling(seed=1, step_count=STEPS, image_count=IMAGES),
        )
        decoding.rate(server, IMAGES)
        for _ in range(setting.scaled(5, 2)):
            batched.append(IMAGES / seconds(lambda: pipelines.decode(request)))
            served.append(decoding.rate(server, setting.scaled(64, 16)))
    yield Figure(
        f"all alike, over one batched pipeline call in fp32: {setting.backend}, {setting.dtype}",
        at_least(1.4),
        [ours / theirs for ours, theirs in zip(served, batched, strict=True)],
        "x",
        setting.command("batched"),
        f"images/s: {max(served):.2f} against {max(batched):.2f} at best, {STEPS} steps",
    )
