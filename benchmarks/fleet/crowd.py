"""Clients that ask through the proxy while servers come and go, and the books of what each of them got."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import numpy as np
from kandinsky_client import ImageReady, Kandinsky, KandinskyError, Progress, Queued
from kandinsky_client.event_streams import EventStream
from kandinsky_client.events import EmbeddingReady

from benchmarks.load import Material

RPCS = ("decode", "img2img", "decode", "generate", "decode", "prior")
STEPS = (10, 16, 24, 40)
GUIDANCE = (4.0, 1.0, 7.5)
VARIANTS = 24
"""How many different requests there are; each is asked again and again."""

SIZE_PX = 64
"""Small: this is about what happens, not how fast."""

ANSWER_SECONDS = 300.0
RETRIES = 50
"""In a row without anything new: a client that outlasts a restart of every server."""


@dataclass(frozen=True)
class Variant:
    """One request, told by its number: equal numbers are equal requests."""

    number: int

    @property
    def rpc(self) -> str:
        """The method."""
        return RPCS[self.number % len(RPCS)]

    @property
    def step_count(self) -> int:
        """Of its longest stage."""
        return STEPS[self.number // len(RPCS) % len(STEPS)]

    def open(self, client: Kandinsky, material: Material, request_id: str, interval: int) -> EventStream:
        """Asks with a checkpoint every ``interval`` steps; 0 is none."""
        options: dict[str, Any] = {
            "seed": self.number,
            "step_count": self.step_count,
            "guidance_scale": GUIDANCE[self.number % len(GUIDANCE)],
            "checkpoint_interval_steps": interval,
            "metadata": [("x-request-id", request_id)],
            "timeout": ANSWER_SECONDS,
        }
        if self.rpc == "prior":
            return client.stream.prior("a red circle", **options)
        options |= {"format": "raw_rgb_f32", "width_px": SIZE_PX, "height_px": SIZE_PX}
        if self.rpc == "generate":
            return client.stream.generate("a blue square", prior_step_count=10, **options)
        if self.rpc == "img2img":
            return client.stream.img2img(material.pair, material.image, strength=0.8, **options)
        return client.stream.decode(material.pair, **options)


@dataclass
class Outcome:
    """What one request got. ``began`` and ``ended`` are by the monotonic clock.

    ``tries`` is how often a server took it in; ``again`` counts the steps that ran a second time, as its client saw them.
    """

    variant: Variant
    request_id: str
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    tries: int = 0
    again: int = 0
    result: bytes = b""
    error: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the result."""
        return hashlib.sha256(self.result).hexdigest()

    def difference(self, reference: Outcome) -> float:
        """The largest of a pixel in [0, 1] or of an embedding's number; infinite where there is no such answer."""
        mine, other = (np.frombuffer(each.result, "<f4") for each in (self, reference))
        if self.error or mine.shape != other.shape or not mine.size:
            return float("inf")
        return float(np.abs(mine - other).max())


def follow(stream: EventStream, outcome: Outcome) -> Iterator[Progress]:
    """Reads a stream to its end into ``outcome``; yields each step."""
    seen: dict[tuple[str, int], int] = {}
    parts: list[bytes] = []
    try:
        for event in stream:
            match event:
                case Queued():
                    outcome.tries += 1
                case Progress():
                    place = event.stage, event.index
                    outcome.again += max(0, seen.get(place, 0) + 1 - event.step)
                    seen[place] = event.step
                    yield event
                case EmbeddingReady():
                    pair = event.result.embedding
                    parts += [each.array.tobytes() for each in (pair.positive, pair.negative) if each]
                case ImageReady():
                    parts.append(event.result.data)
    except KandinskyError as error:
        outcome.error = f"{type(error).__name__}: {error}"
    outcome.result, outcome.ended = b"".join(parts), time.monotonic()


def ask(client: Kandinsky, material: Material, variant: Variant, interval: int) -> Outcome:
    """One request, start to end."""
    outcome = Outcome(variant, str(uuid.uuid4()))
    for _ in follow(variant.open(client, material, outcome.request_id, interval), outcome):
        pass
    return outcome


class Crowd:
    """So many clients, each of which asks its next request when it has its answer.

    ``interval`` is the checkpoints'; 0 is none.
    """

    def __init__(self, target: str, material: Material, clients: int, interval: int) -> None:
        self._target, self._material = target, material
        self._clients, self._interval = clients, interval
        self._numbers = count()
        self._taking = threading.Lock()
        self._done = threading.Event()
        self.outcomes: list[Outcome] = []
        self.began = 0.0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Asks until the block ends; what runs then is waited for."""
        self.began = time.monotonic()
        with ThreadPoolExecutor(self._clients) as pool:
            running: Sequence[Future[None]] = [pool.submit(self._ask_on) for _ in range(self._clients)]
            try:
                yield
            finally:
                self._done.set()
        for each in running:
            each.result()

    def wait_for(self, answers: int) -> None:
        """Until so many more have come."""
        wanted = len(self.outcomes) + answers
        while len(self.outcomes) < wanted:
            time.sleep(0.02)

    @property
    def longest_gap(self) -> float:
        """Seconds between two answers, or from the start to the first."""
        ends = [self.began, *sorted(each.ended for each in self.outcomes if not each.error)]
        return max(after - before for before, after in pairwise(ends))

    def _ask_on(self) -> None:
        with Kandinsky(self._target, retries=RETRIES) as client:
            while not self._done.is_set():
                with self._taking:
                    number = next(self._numbers)
                outcome = ask(client, self._material, Variant(number % VARIANTS), self._interval)
                self.outcomes.append(outcome)
