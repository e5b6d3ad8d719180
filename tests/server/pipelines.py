"""Every pipeline of Kandinsky 2.2, asked of the server through its client and of diffusers itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from kandinsky_client import Embedding, EmbeddingPair, EmbeddingSet, ImageSet, Kandinsky
from PIL import Image

from tests.oracle import Embeddings, Oracle

PROMPT = "a red cat in the house"
SEED = 40
STEPS = 4
STRENGTH = 0.6
Answers = tuple[np.ndarray, np.ndarray]
"""What the server returned and what diffusers returns, of one shape."""


@dataclass(frozen=True)
class Variant:
    """One way to ask; unguided when ``guidance`` is 1 or less."""

    count: int = 1
    guidance: float = 4.0
    negative: str | None = None
    width: int = 64
    height: int = 64

    def __str__(self) -> str:
        negative = "plain" if self.negative is None else "negative"
        return f"{self.count}-guidance{self.guidance:g}-{negative}-{self.width}x{self.height}"

    @property
    def seeds(self) -> range:
        return range(SEED, SEED + self.count)

    @property
    def asked(self) -> dict[str, Any]:
        """The client's options for embeddings."""
        return {
            "image_count": self.count,
            "seed": SEED,
            "step_count": STEPS,
            "guidance_scale": self.guidance,
        }

    @property
    def asked_images(self) -> dict[str, Any]:
        """The client's options for images."""
        return {**self.asked, "width_px": self.width, "height_px": self.height, "format": "raw_rgb_f32"}

    @property
    def sampling(self) -> dict[str, Any]:
        """The oracle's options for embeddings, and for images whose size the hint gives."""
        return {"num_inference_steps": STEPS, "guidance_scale": self.guidance}

    @property
    def sized(self) -> dict[str, Any]:
        """The oracle's options for images."""
        return {**self.sampling, "width": self.width, "height": self.height}


Pipeline = Callable[[Kandinsky, Oracle, Variant], Answers]


def picture(seed: int, width: int = 80, height: int = 72) -> Image.Image:
    """Coloured noise in blocks, so that resizing keeps it; by default of a size that needs resizing."""
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 10, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def mask(width: int = 80, height: int = 72) -> Image.Image:
    """White, to be repainted, in the lower right."""
    white = Image.new("L", (width, height))
    white.paste(255, (width // 3, height // 2, width, height))
    return white


def pair_of(reference: Oracle, variant: Variant) -> Embeddings:
    """The pair that image calls are asked with."""
    return reference.prior(PROMPT, [1], variant.negative, num_inference_steps=2)


def sendable(embeddings: Embeddings) -> list[EmbeddingPair]:
    """An oracle's embeddings as the client takes them."""
    rows = zip(embeddings.positive, embeddings.negative, strict=True)
    return [EmbeddingPair(*map(Embedding.from_array, row)) for row in rows]


def vectors(results: EmbeddingSet) -> np.ndarray:
    """Both embeddings of each result, [n, 2, D]."""
    return np.stack([_vectors(result.embedding) for result in results])


def _vectors(pair: EmbeddingPair) -> np.ndarray:
    assert pair.negative is not None
    return np.stack([pair.positive.array, pair.negative.array])


def pixels(results: ImageSet) -> np.ndarray:
    """Images [n, H, W, 3]."""
    return np.stack([result.array for result in results])


def prior(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    served = client.prior(PROMPT, negative_prompt=variant.negative, **variant.asked)
    expected = reference.prior(PROMPT, variant.seeds, variant.negative, **variant.sampling)
    return vectors(served), np.stack(expected, axis=1)


def prior_emb2emb(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    start = picture(1)
    served = client.prior(
        PROMPT, negative_prompt=variant.negative, image=start, strength=STRENGTH, **variant.asked
    )
    expected = reference.prior_emb2emb(
        PROMPT, start, variant.seeds, STRENGTH, variant.negative, **variant.sampling
    )
    return vectors(served), np.stack(expected, axis=1)


def interpolate(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    held = pair_of(reference, variant)
    weights = [0.5, 0.2, 0.4]
    served = client.interpolate(
        [PROMPT, picture(1), sendable(held)[0]],
        weights,
        negative_prior_prompt=variant.negative,
        negative_prompt=variant.negative or "",
        **variant.asked,
    )
    expected = reference.interpolate_prior(
        [PROMPT, picture(1), held.positive[0]],
        weights,
        variant.seeds,
        variant.negative or "",
        variant.negative,
        **variant.sampling,
    )
    return vectors(served), np.stack(expected, axis=1)


def decode(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    pair = pair_of(reference, variant)
    served = client.decode(sendable(pair), **variant.asked_images)
    return pixels(served), reference.decode(pair, variant.seeds, **variant.sized)


def img2img(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    pair, start = pair_of(reference, variant), picture(1)
    served = client.img2img(sendable(pair), start, strength=STRENGTH, **variant.asked_images)
    return pixels(served), reference.img2img(pair, start, variant.seeds, STRENGTH, **variant.sized)


def inpaint(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    pair, start = pair_of(reference, variant), picture(1)
    served = client.inpaint(sendable(pair), start, mask(), **variant.asked_images)
    return pixels(served), reference.inpaint(pair, start, mask(), variant.seeds, **variant.sized)


def controlnet(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    pair, hint = pair_of(reference, variant), picture(2, variant.width, variant.height)
    served = client.controlnet(sendable(pair), hint=hint, **variant.asked_images)
    return pixels(served), reference.controlnet(pair, hint, variant.seeds, **variant.sampling)


def controlnet_img2img(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    pair, start, hint = pair_of(reference, variant), picture(1), picture(2, variant.width, variant.height)
    served = client.controlnet(
        sendable(pair), hint=hint, image=start, strength=STRENGTH, **variant.asked_images
    )
    expected = reference.controlnet_img2img(pair, start, hint, variant.seeds, STRENGTH, **variant.sampling)
    return pixels(served), expected


def generate(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    pairs = _generated_pairs(reference, variant)
    served = client.generate(PROMPT, **_asked_generate(variant))
    return pixels(served), reference.decode(pairs, variant.seeds, **variant.sized)


def generate_img2img(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    pairs, start = _generated_pairs(reference, variant), picture(1)
    served = client.generate(PROMPT, image=start, strength=STRENGTH, **_asked_generate(variant))
    return pixels(served), reference.img2img(pairs, start, variant.seeds, STRENGTH, **variant.sized)


def generate_inpaint(client: Kandinsky, reference: Oracle, variant: Variant) -> Answers:
    pairs, start = _generated_pairs(reference, variant), picture(1)
    served = client.generate(PROMPT, image=start, mask=mask(), **_asked_generate(variant))
    return pixels(served), reference.inpaint(pairs, start, mask(), variant.seeds, **variant.sized)


def _asked_generate(variant: Variant) -> dict[str, Any]:
    prior = {"prior_step_count": 3, "prior_guidance_scale": variant.guidance}
    return {**variant.asked_images, **prior, "negative_prompt": variant.negative}


def _generated_pairs(reference: Oracle, variant: Variant) -> Embeddings:
    options = {"num_inference_steps": 3, "guidance_scale": variant.guidance}
    return reference.prior(PROMPT, variant.seeds, variant.negative, **options)


EMBEDDING_PIPELINES: tuple[Pipeline, ...] = (prior, prior_emb2emb, interpolate)
IMAGE_PIPELINES: tuple[Pipeline, ...] = (
    decode,
    img2img,
    inpaint,
    controlnet,
    controlnet_img2img,
    generate,
    generate_img2img,
    generate_inpaint,
)
