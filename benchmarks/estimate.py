"""What Estimate predicts, against what then happens, under the load of ``CLIENTS`` clients."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import quantiles

from kandinsky_client import Kandinsky

from benchmarks.figure import Figure, at_least
from benchmarks.load import Job, Material, images_per_second, jobs, shared_out
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

NEAR = 0.3
"""A prediction is good when it is off by at most this part of what was measured."""


@dataclass(frozen=True)
class Prediction:
    """Seconds from the question to the request's end: as predicted, and as measured."""

    rpc: str
    predicted: float
    measured: float

    @property
    def near(self) -> bool:
        """Whether it is good."""
        return abs(self.predicted - self.measured) <= NEAR * self.measured


def measure(setting: Setting) -> Iterator[Figure]:
    """Each request is estimated just before it is sent, by the client that sends it."""
    rounds = []
    with setting.ours() as server:
        images_per_second(server, jobs(16))
        for _ in range(setting.scaled(3, 1)):
            rounds.append(_predictions(server, jobs(setting.scaled(120, 24))))
    yield Figure(
        f"estimates within {NEAR:.0%}, {setting.backend}",
        at_least(80),
        [100 * sum(prediction.near for prediction in found) / len(found) for found in rounds],
        "%",
        setting.command("estimate"),
        _note([prediction for found in rounds for prediction in found]),
    )


def _predictions(server: ServerProcess, work: Sequence[Job]) -> list[Prediction]:
    with server.client() as client:
        material = Material.of(client)

    def answer(client: Kandinsky, job: Job) -> Prediction:
        estimate = job.ask(client.estimate, material)
        started = time.monotonic()
        job.run(client, material)
        predicted = estimate.queue_wait_seconds + estimate.run_seconds
        return Prediction(job.rpc, predicted, time.monotonic() - started)

    return shared_out(server, work, answer)


def _note(found: Sequence[Prediction]) -> str:
    """Which way they are off, and where."""
    low, middle, high = quantiles([one.predicted / one.measured for one in found], n=4)
    shares = []
    for rpc in sorted({one.rpc for one in found}):
        those = [one.near for one in found if one.rpc == rpc]
        shares.append(f"{rpc} {sum(those)} of {len(those)}")
    return (
        f"predicted over measured, quartiles: {low:.2f}, {middle:.2f}, {high:.2f}; near: {', '.join(shares)}"
    )
