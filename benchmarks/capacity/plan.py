"""How many replicas a rate of images needs so that all but one in a hundred requests are answered in time."""

from __future__ import annotations

import random

from benchmarks.capacity.measured import Measured
from benchmarks.capacity.served import Served
from benchmarks.capacity.simulation import simulate
from benchmarks.capacity.workload import arrivals


def served(
    measured: Measured, images_per_second: float, replicas: int, seconds: float, bursts: bool, seed: int = 0
) -> Served:
    """A fleet under the load of the kinds that were measured."""
    rate = images_per_second / measured.images_per_request
    trace = arrivals(rate, seconds, len(measured.kinds), bursts, random.Random(seed))
    if not trace:
        raise ValueError(f"no request comes within {seconds:g} s; simulate for longer")
    return simulate(trace, measured.kinds, measured.table, replicas, measured.max_rows, seed)


def replicas_for(
    measured: Measured,
    images_per_second: float,
    p99_seconds: float,
    seconds: float = 120.0,
    bursts: bool = False,
    most: int = 1000,
) -> tuple[int, Served] | None:
    """The fewest that do, and how they do; None where not even ``most`` do.

    More replicas are never slower, so it is found by halving.
    """

    def tried(replicas: int) -> Served:
        return served(measured, images_per_second, replicas, seconds, bursts)

    low, high = 0, 1
    while (fleet := tried(high)).percentile(0.99) >= p99_seconds:
        if high == most:
            return None
        low, high = high, min(most, 2 * high)
    while high - low > 1:
        middle = (low + high) // 2
        between = tried(middle)
        if between.percentile(0.99) < p99_seconds:
            high, fleet = middle, between
        else:
            low = middle
    return high, fleet
