"""Small requests of every RPC: most of them sound, some malformed, given up, short of time, or of a client that dies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from kandinsky_client.embeddings import Embedding, EmbeddingPair
from kandinsky_client.methods import View
from kandinsky_client.rpcs import Request

from benchmarks.load import Material

LONG_STEPS = 100
"""Enough to be given up while it runs."""

TIGHT_SECONDS = (0.1, 1.0)


class Kind(Enum):
    """What a request is."""

    SOUND = "sound"
    REPEATED = "repeated"
    CANCELLED = "cancelled"
    MALFORMED = "malformed"
    TIGHT = "tight"
    CRASHED = "crashed"


SHARES = {
    Kind.SOUND: 67,
    Kind.REPEATED: 20,
    Kind.CANCELLED: 5,
    Kind.MALFORMED: 5,
    Kind.TIGHT: 2,
    Kind.CRASHED: 1,
}
"""Of a hundred requests."""

CODES = {
    Kind.SOUND: frozenset({"OK"}),
    Kind.REPEATED: frozenset({"OK"}),
    Kind.CANCELLED: frozenset({"CANCELLED"}),
    Kind.MALFORMED: frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION"}),
    Kind.TIGHT: frozenset({"OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}),
    Kind.CRASHED: frozenset({"CANCELLED"}),
}
"""What each may be answered."""


@dataclass(frozen=True)
class Small:
    """A request of a few steps. ``timeout`` in seconds; it is given up after ``patience`` events, None is never."""

    kind: Kind
    message: Request
    seed: int
    timeout: float | None = None
    patience: int | None = None


class Mixture:
    """Makes requests. Equal material and equal places make equal requests."""

    def __init__(self, material: Material) -> None:
        pair, image = material.pair, material.image
        build: View[Any] = View(lambda message, options: message)
        self._sound: tuple[Callable[..., Request], ...] = (
            lambda steps, **options: build.decode(pair, step_count=steps, **options),
            lambda steps, **options: build.img2img(pair, image, strength=1, step_count=steps, **options),
            lambda steps, **options: build.inpaint(pair, image, image, step_count=steps, **options),
            lambda steps, **options: build.controlnet(pair, hint=image, step_count=steps, **options),
            lambda steps, **options: build.generate(
                "a red circle", prior_step_count=steps + 1, step_count=steps, **options
            ),
            lambda steps, **options: build.prior("a red circle", step_count=steps + 1, **_prior(options)),
            lambda steps, **options: build.interpolate(
                ["a red circle", image], [0.4, 0.6], step_count=steps + 1, **_prior(options)
            ),
        )  # UnCLIP, the prior's scheduler, needs two steps.
        self._malformed: tuple[Callable[[], Request], ...] = (
            lambda: build.decode(pair, step_count=0),
            lambda: build.decode(pair, width_px=1),
            lambda: build.decode(replace(pair, positive=_other(pair, float("nan")))),
            lambda: build.decode(replace(pair, positive=_other(pair, 0, "another prior"))),
            lambda: build.img2img(pair, b"no image"),
            lambda: build.inpaint(pair, image, image[: len(image) // 2]),
            lambda: build.controlnet(pair),
            lambda: build.prior([]),
            lambda: build.interpolate(["a red circle"], [0.4, 0.6]),
            lambda: build.generate("a red circle", guidance_scale=-1),
        )

    def repeated(self, seed: int) -> Small:
        """The same for equal seeds; results in floats."""
        make = self._sound[seed % len(self._sound)]
        return Small(Kind.REPEATED, make(2, seed=seed, format="raw_rgb_f32"), seed)

    def requests(self, number: int, repeated: range) -> Iterator[Small]:
        """So many in an order of chance; REPEATED ones have seeds of ``repeated``, all others their own."""
        draw = random.Random(0)
        kinds = [kind for kind, share in SHARES.items() for _ in range(share)] * (-(-number // 100))
        draw.shuffle(kinds)
        for place, kind in enumerate(kinds[:number]):
            yield self._one(kind, 10_000 + place, repeated, draw)

    def _one(self, kind: Kind, seed: int, repeated: range, draw: random.Random) -> Small:
        make = draw.choice(self._sound)
        match kind:
            case Kind.REPEATED:
                return self.repeated(draw.choice(repeated))
            case Kind.CANCELLED | Kind.CRASHED:
                return Small(kind, make(LONG_STEPS, seed=seed), seed, patience=draw.randint(1, 3))
            case Kind.MALFORMED:
                return Small(kind, draw.choice(self._malformed)(), seed)
            case Kind.TIGHT:
                steps = draw.randint(1, LONG_STEPS)
                return Small(kind, make(steps, seed=seed), seed, timeout=draw.uniform(*TIGHT_SECONDS))
        options = {
            "guidance_scale": draw.choice((1, 4)),
            "preview_interval_steps": draw.choice((0, 0, 0, 1)),
            "format": draw.choice(("png", "jpeg", "webp")),
        }
        return Small(kind, make(draw.randint(1, 3), seed=seed, **options), seed)


def _prior(options: dict[str, Any]) -> dict[str, Any]:
    """Less what only pictures have."""
    return {name: value for name, value in options.items() if name in ("seed", "guidance_scale")}


def _other(pair: EmbeddingPair, value: float, fingerprint: str = "") -> Embedding:
    return Embedding.from_array([value] * pair.positive.array.size, prior_fingerprint=fingerprint)
