"""Decodes that differ in nothing but their seeds: what whole-request batching is best at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from kandinsky_client import EmbeddingPair, Kandinsky

from benchmarks.load import CLIENTS, shared_out
from benchmarks.process import ServerProcess

_seeds = count(1_000_000)


@dataclass(frozen=True)
class Decoding:
    """One guided image of an embedding; ``side`` in pixels, None is the model's own."""

    pair: EmbeddingPair
    step_count: int
    side: int | None = None

    @classmethod
    def on(cls, server: ServerProcess, step_count: int, side: int | None = None) -> Decoding:
        """With an embedding of the server's own prior."""
        with server.client() as client:
            (result,) = client.prior("a blue square", step_count=2, seed=0)
        return cls(result.embedding, step_count, side)

    def ask(self, client: Kandinsky, number: int = 0) -> None:
        """Asks and waits; ``number`` makes no difference."""
        client.decode(
            self.pair,
            seed=next(_seeds),
            step_count=self.step_count,
            width_px=self.side,
            height_px=self.side,
        )

    def rate(self, server: ServerProcess, number: int, clients: int = CLIENTS) -> float:
        """Images a second of so many clients that share out ``number`` requests."""
        return number / seconds(lambda: shared_out(server, range(number), self.ask, clients))


def seconds(action: Callable[[], object]) -> float:
    """How long ``action`` takes."""
    started = time.monotonic()
    action()
    return time.monotonic() - started
