"""What eight teams ask for at once: Decode, Img2Img and Prior with mixed steps and guidance."""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from typing import Any, TypeVar

import numpy as np
import PIL.Image
from kandinsky_client import EmbeddingPair, Kandinsky
from kandinsky_client.methods import Methods

from benchmarks.process import ServerProcess

T = TypeVar("T")
W = TypeVar("W")

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
    def _sampling(self) -> dict[str, Any]:
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


def shared_out(
    server: ServerProcess, work: Iterable[W], answer: Callable[[Kandinsky, W], T], clients: int = CLIENTS
) -> list[T]:
    """Lets each of so many clients take the next request when it has its answer; returns what ``answer`` does."""
    queue, taking = iter(work), threading.Lock()

    def take() -> list[W]:
        with taking:
            return list(islice(queue, 1))

    def drain(_: int) -> list[T]:
        with server.client() as client:
            return [answer(client, request) for taken in iter(take, []) for request in taken]

    with ThreadPoolExecutor(clients) as pool:
        return list(chain.from_iterable(pool.map(drain, range(clients))))


def mixed(server: ServerProcess) -> Callable[[Kandinsky, int], object]:
    """What `kept_busy` may ask: request after request of the mixture, each with a seed of its own."""
    with server.client() as client:
        material = Material.of(client)
    work = jobs(40)

    def ask(client: Kandinsky, number: int) -> object:
        return replace(work[number % len(work)], seed=next(_serials)).run(client, material)

    return ask


@contextmanager
def kept_busy(
    server: ServerProcess, ask: Callable[[Kandinsky, int], object], clients: int = CLIENTS
) -> Iterator[None]:
    """Keeps so many clients asking until the block ends; ``ask`` is given the number of the request."""
    ended = threading.Event()

    def requests() -> Iterator[int]:
        for number in count():
            if ended.is_set():
                return
            yield number

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(shared_out, server, requests(), ask, clients)
        try:
            yield
        finally:
            ended.set()
        running.result()
