"""A painter that asks a running server, to show that its pictures are as good as the pipelines'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from kandinsky_client import Embedding, EmbeddingPair, ImageSet, Kandinsky
from PIL import Image

from training.painter import DECODER_STEPS, PRIOR_STEPS, Embeds, Picture

T = TypeVar("T")
CLIENTS = 8  # rows asked for at once, so that they share the server's network calls


class ServerPainter:
    """One call of the public client for every row."""

    def __init__(self, target: str) -> None:
        self.client = Kandinsky(target, timeout=600)

    def embed(self, prompts: Sequence[str], negatives: Sequence[str] | None, seeds: Sequence[int]) -> Embeds:
        """Prior."""

        def one(row: int) -> EmbeddingPair:
            negative = negatives[row] if negatives else None
            made = self.client.prior(
                prompts[row], negative_prompt=negative, seed=seeds[row], step_count=PRIOR_STEPS
            )
            return made[0].embedding

        pairs = each(one, len(prompts))
        positive = np.stack([pair.positive.array.reshape(-1) for pair in pairs])
        negative = np.stack([pair.negative.array.reshape(-1) for pair in pairs if pair.negative])
        return positive, negative

    def decode(self, embeds: Embeds, seeds: Sequence[int]) -> list[Picture]:
        """Decode."""
        return each(
            lambda row: pixels(
                self.client.decode(pair(embeds, row), seed=seeds[row], step_count=DECODER_STEPS)
            ),
            len(seeds),
        )

    def img2img(
        self, embeds: Embeds, starts: Sequence[Picture], strength: float, seeds: Sequence[int]
    ) -> list[Picture]:
        """Img2Img."""

        def one(row: int) -> Picture:
            image = Image.fromarray(starts[row])
            options: dict[str, Any] = {"strength": strength, "seed": seeds[row], "step_count": DECODER_STEPS}
            return pixels(self.client.img2img(pair(embeds, row), image, **options))

        return each(one, len(seeds))

    def inpaint(
        self, embeds: Embeds, starts: Sequence[Picture], repaint: Sequence[np.ndarray], seeds: Sequence[int]
    ) -> list[Picture]:
        """Inpaint."""

        def one(row: int) -> Picture:
            image, mask = Image.fromarray(starts[row]), gray(repaint[row])
            options: dict[str, Any] = {"seed": seeds[row], "step_count": DECODER_STEPS}
            return pixels(self.client.inpaint(pair(embeds, row), image, mask, **options))

        return each(one, len(seeds))

    def controlnet(self, embeds: Embeds, hints: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Picture]:
        """ControlNet."""

        def one(row: int) -> Picture:
            options: dict[str, Any] = {
                "hint": gray(hints[row]),
                "seed": seeds[row],
                "step_count": DECODER_STEPS,
            }
            return pixels(self.client.controlnet(pair(embeds, row), **options))

        return each(one, len(seeds))


def each(call: Callable[[int], T], rows: int) -> list[T]:
    """What the call gives for every row, in their order."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(call, range(rows)))


def pair(embeds: Embeds, row: int) -> EmbeddingPair:
    """One row of embeddings as the client takes them."""
    return EmbeddingPair(Embedding.from_array(embeds[0][row]), Embedding.from_array(embeds[1][row]))


def gray(values: np.ndarray) -> Image.Image:
    """(height, width) in [0, 1] as an 8-bit picture."""
    return Image.fromarray((values * 255).round().astype(np.uint8))


def pixels(result: ImageSet) -> Picture:
    """The one picture of a result."""
    return np.asarray(result[0].image.convert("RGB"))
