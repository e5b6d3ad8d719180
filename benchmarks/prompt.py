"""Prompt to image at the model's own size: one client, one Generate, everything at its default."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figure import Figure, at_most
from benchmarks.setting import Setting

PROMPT = "a large red circle on a blue background"


def measure(setting: Setting) -> Iterator[Figure]:
    """A new seed each time, so that no prior is cached."""
    samples = []
    with setting.ours() as server, server.client() as client:
        client.generate(PROMPT, seed=0)
        for seed in range(1, setting.scaled(16, 4)):
            started = time.monotonic()
            (result,) = client.generate(PROMPT, seed=seed)
            samples.append(time.monotonic() - started)
    width, height = result.image.size
    note = f"{width}x{height}, default steps and guidance, {setting.threads} threads"
    name = f"prompt to image, {setting.backend}"
    yield Figure(name, at_most(2.0), samples, " s", setting.command("prompt"), note)
