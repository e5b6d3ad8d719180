"""What eight teams ask for at once: Decode, Img2Img and Prior with mixed steps and guidance."""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count, cycle
from typing import Any, TypeVar

import numpy as np
import PIL.Image
from kandinsky_client import EmbeddingPair, Kandinsky
from kandinsky_client.methods import Methods

from benchmarks.process import ServerProcess

T = TypeVar("T")

CLIENTS = 8
RPCS = {"decode": 6, "img2img": 3, "prior": 1}
"""Of ten requests."""

GUIDANCE = (1.0, 4.0, 4.0, 7.5)
"""A quarter is unguided."""

_serials = count(1)


@dataclass(frozen=True)
class Job:
    """One request; its seed is its own, so that no prior cache can answer it the first time."""

    rpc: str
    seed: int
    step_count: int
    guidance_scale: float
    strength: float

    def run(self, client: Kandinsky, material: Material) -> int:
        """Asks, waits, and returns the number of images."""
        results = self.ask(client, material)
        return 0 if self.rpc == "prior" else len(results)

    def ask(self, methods: Methods[Any, Any], material: Material) -> Any:
        """Makes the call on a client, or on its estimates."""
        if self.rpc == "prior":
            return methods.prior("a red circle", **self._sampling)
        if self.rpc == "img2img":
            return methods.img2img(material.pair, material.image, strength=self.strength, **self._sampling)
        return methods.decode(material.pair, **self._sampling)

    @property
    def _sampling(self) -> dict[str, float]:
        return {"seed": self.seed, "step_count": self.step_count, "guidance_scale": self.guidance_scale}


@dataclass(frozen=True)
class Material:
    """What requests carry: an embedding pair of the server's own prior, and a PNG."""

    pair: EmbeddingPair
    image: bytes

    @classmethod
    def of(cls, client: Kandinsky) -> Material:
        """Asks the server for what its decoder takes."""
        results = client.prior("a blue square", step_count=5, seed=0)
        size = client.decode(results, step_count=1, seed=0)[0].image.size
        buffer = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
        PIL.Image.fromarray(noise).save(buffer, "PNG")
        return cls(results[0].embedding, buffer.getvalue())


def jobs(number: int, order: int = 0) -> list[Job]:
    """That many requests; equal arguments give equal requests but for their seeds."""
    draw = random.Random(order)
    rpcs = [rpc for rpc, share in RPCS.items() for _ in range(share)]
    mix = [rpcs[place % len(rpcs)] for place in range(number)]
    draw.shuffle(mix)
    return [
        Job(rpc, next(_serials), draw.randint(10, 50), draw.choice(GUIDANCE), draw.uniform(0.3, 1.0))
        for rpc in mix
    ]


def images_per_second(server: ServerProcess, work: Sequence[Job]) -> float:
    """Lets ``CLIENTS`` clients take the requests one by one until all are answered."""
    with server.client() as client:
        material = Material.of(client)
    started = time.monotonic()
    images = shared_out(server, work, lambda client, job: job.run(client, material))
    return sum(images) / (time.monotonic() - started)


def shared_out(server: ServerProcess, work: Sequence[Job], answer: Callable[[Kandinsky, Job], T]) -> list[T]:
    """Lets each of ``CLIENTS`` clients take the next request when it has its answer; returns what ``answer`` does."""
    queue, taking = iter(work), threading.Lock()

    def take() -> Job | None:
        with taking:
            return next(queue, None)

    def drain(_: int) -> list[T]:
        with server.client() as client:
            return [answer(client, job) for job in iter(take, None)]

    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(chain.from_iterable(clients.map(drain, range(CLIENTS))))


@contextmanager
def kept_busy(server: ServerProcess) -> Iterator[None]:
    """Keeps ``CLIENTS`` clients asking until the block ends."""
    ended = threading.Event()
    with server.client() as client:
        material = Material.of(client)

    def ask(order: int) -> None:
        work = cycle(jobs(40, order))
        with server.client() as client:
            while not ended.is_set():
                next(work).run(client, material)

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = clients.map(ask, range(CLIENTS))
        try:
            yield
        finally:
            ended.set()
        list(running)
