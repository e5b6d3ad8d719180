"""Prior when its cache has the answer, end to end over gRPC."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figure import Figure, at_most
from benchmarks.setting import Setting


def measure(setting: Setting) -> Iterator[Figure]:
    """One client, the same request again and again."""
    samples = []
    with setting.ours() as server, server.client() as client:
        client.prior("a red circle", seed=1)
        for _ in range(setting.scaled(500, 50)):
            started = time.monotonic()
            (result,) = client.prior("a red circle", seed=1)
            samples.append(1000 * (time.monotonic() - started))
            assert result.cached
    yield Figure("Prior from a warm cache", at_most(5), samples, " ms", setting.command("warm_prior"))
