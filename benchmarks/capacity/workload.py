"""What is asked for and when: requests as the work that they are, and arrivals at random or in bursts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

from kandinsky_server.engine.trajectory import BatchKey

from benchmarks.capacity.steps import Step

WAITING = 256
"""Requests that can be under way at once."""

BURST_SECONDS = 5.0
BURST_EVERY_SECONDS = 20.0
BURST_FACTOR = 3.0
"""In a burst so many times as many come as on the average; between bursts fewer, so that the average holds."""


@dataclass(frozen=True)
class Stretch:
    """``count`` steps of one trajectory in one lane, each of ``rows`` rows."""

    lane: BatchKey
    rows: int
    count: int


@dataclass(frozen=True)
class Kind:
    """A request: stretches one after the other, what it takes outside the engine, and what it makes."""

    stretches: tuple[Stretch, ...]
    overhead: float
    images: int

    @classmethod
    def seen(cls, steps: Sequence[Step], seconds: float, images: int) -> Self:
        """Of the steps of a request that was alone and took ``seconds``."""
        runs = groupby(steps, lambda step: (step.lane, step.rows))
        stretches = tuple(Stretch(lane, rows, len(list(run))) for (lane, rows), run in runs)
        return cls(stretches, max(0.0, seconds - sum(step.seconds for step in steps)), images)

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        stretches = [[each.lane.network, each.lane.shape, each.rows, each.count] for each in self.stretches]
        return {"stretches": stretches, "overhead_seconds": self.overhead, "images": self.images}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """Of a file."""
        stretches = tuple(
            Stretch(BatchKey(network, tuple(shape)), rows, count)
            for network, shape, rows, count in kept["stretches"]
        )
        return cls(stretches, kept["overhead_seconds"], kept["images"])


@dataclass(frozen=True)
class Arrival:
    """Seconds from the start, and which kind comes."""

    when: float
    kind: int


def arrivals(rate: float, seconds: float, kinds: int, bursts: bool, chance: random.Random) -> list[Arrival]:
    """``rate`` requests a second on the average, each of a kind by chance; exponential gaps, or bursts of them."""
    return [Arrival(when, chance.randrange(kinds)) for when in _times(rate, seconds, bursts, chance)]


def play(trace: Sequence[Arrival], ask: Callable[[int, Arrival], object]) -> list[tuple[float, float]]:
    """Asks when the ``trace`` says so, with the place in it; returns of each its latency and its end, from the start."""

    def one(place: int, arrival: Arrival) -> tuple[float, float]:
        ask(place, arrival)
        ended = time.monotonic() - began
        return ended - arrival.when, ended

    with ThreadPoolExecutor(WAITING) as pool:
        began, running = time.monotonic(), []
        for place, arrival in enumerate(trace):
            time.sleep(max(0.0, began + arrival.when - time.monotonic()))
            running.append(pool.submit(one, place, arrival))
        return [each.result() for each in running]


def _times(rate: float, seconds: float, bursts: bool, chance: random.Random) -> Iterator[float]:
    """By thinning: what comes at the highest rate is kept with the share that the rate is of it."""
    highest = rate * (BURST_FACTOR if bursts else 1.0)
    quiet = (BURST_EVERY_SECONDS - BURST_FACTOR * BURST_SECONDS) / (BURST_EVERY_SECONDS - BURST_SECONDS)
    when = chance.expovariate(highest)
    while when < seconds:
        now = rate
        if bursts:
            now = highest if when % BURST_EVERY_SECONDS < BURST_SECONDS else rate * quiet
        if chance.random() < now / highest:
            yield when
        when += chance.expovariate(highest)
