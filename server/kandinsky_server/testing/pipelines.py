"""Every pipeline of Kandinsky 2.2, asked of the server through its client and of diffusers itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from kandinsky_client import Embedding, EmbeddingPair, EmbeddingSet, ImageSet, Kandinsky
from PIL import Image

from kandinsky_server.testing.oracle import Embeddings, Oracle

PROMPT = "a red cat in the house"
OTHER_PROMPT = "a robot on the square"
"""What nothing but Interpolate asks for, so that Prior's cached results do not answer it."""
SEED = 40
STEPS = 4
STRENGTH = 0.6


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


@dataclass(frozen=True)
class Case:
    """A call of the client, and what diffusers answers to the same: images [n, H, W, 3] or pairs [n, 2, D]."""

    call: Callable[[Kandinsky], EmbeddingSet | ImageSet]
    expected: np.ndarray

    def served(self, client: Kandinsky) -> np.ndarray:
        """What the server answers."""
        results = self.call(client)
        return pixels(results) if isinstance(results, ImageSet) else vectors(results)


Pipeline = Callable[[Oracle, Variant], Case]


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
    return [EmbeddingPair(Embedding.from_array(one), Embedding.from_array(other)) for one, other in rows]


def vectors(results: EmbeddingSet) -> np.ndarray:
    """Both embeddings of each result, [n, 2, D]."""
    return np.stack([_vectors(result.embedding) for result in results])


def _vectors(pair: EmbeddingPair) -> np.ndarray:
    assert pair.negative is not None
    return np.stack([pair.positive.array, pair.negative.array])


def pixels(results: ImageSet) -> np.ndarray:
    """Images [n, H, W, 3]."""
    return np.stack([result.array for result in results])


def prior(reference: Oracle, variant: Variant) -> Case:
    pairs = reference.prior(PROMPT, variant.seeds, variant.negative, **variant.sampling)
    return Case(
        lambda client: client.prior(PROMPT, negative_prompt=variant.negative, **variant.asked),
        np.stack(pairs, axis=1),
    )


def prior_emb2emb(reference: Oracle, variant: Variant) -> Case:
    start = picture(1)
    options: dict[str, Any] = {"negative_prompt": variant.negative, "strength": STRENGTH}
    pairs = reference.prior_emb2emb(PROMPT, start, variant.seeds, **options, **variant.sampling)
    return Case(
        lambda client: client.prior(PROMPT, image=start, **options, **variant.asked), np.stack(pairs, axis=1)
    )


def interpolate(reference: Oracle, variant: Variant) -> Case:
    held, weights = pair_of(reference, variant), [0.5, 0.2, 0.4]
    negatives: dict[str, Any] = {
        "negative_prior_prompt": variant.negative,
        "negative_prompt": variant.negative or "",
    }
    conditions = [OTHER_PROMPT, picture(1), held.positive[0]]
    pairs = reference.interpolate_prior(conditions, weights, variant.seeds, **negatives, **variant.sampling)
    sent: list[Any] = [OTHER_PROMPT, picture(1), sendable(held)[0]]
    return Case(
        lambda client: client.interpolate(sent, weights, **negatives, **variant.asked),
        np.stack(pairs, axis=1),
    )


def decode(reference: Oracle, variant: Variant) -> Case:
    pair = pair_of(reference, variant)
    return Case(
        lambda client: client.decode(sendable(pair), **variant.asked_images),
        reference.decode(pair, variant.seeds, **variant.sized),
    )


def img2img(reference: Oracle, variant: Variant) -> Case:
    pair, start = pair_of(reference, variant), picture(1)
    return Case(
        lambda client: client.img2img(sendable(pair), start, strength=STRENGTH, **variant.asked_images),
        reference.img2img(pair, start, variant.seeds, STRENGTH, **variant.sized),
    )


def inpaint(reference: Oracle, variant: Variant) -> Case:
    pair, start = pair_of(reference, variant), picture(1)
    return Case(
        lambda client: client.inpaint(sendable(pair), start, mask(), **variant.asked_images),
        reference.inpaint(pair, start, mask(), variant.seeds, **variant.sized),
    )


def controlnet(reference: Oracle, variant: Variant) -> Case:
    pair, hint = pair_of(reference, variant), picture(2, variant.width, variant.height)
    return Case(
        lambda client: client.controlnet(sendable(pair), hint=hint, **variant.asked_images),
        reference.controlnet(pair, hint, variant.seeds, **variant.sampling),
    )


def controlnet_img2img(reference: Oracle, variant: Variant) -> Case:
    pair, start, hint = pair_of(reference, variant), picture(1), picture(2, variant.width, variant.height)
    options: dict[str, Any] = {"image": start, "hint": hint, "strength": STRENGTH}
    return Case(
        lambda client: client.controlnet(sendable(pair), **options, **variant.asked_images),
        reference.controlnet_img2img(pair, seeds=variant.seeds, **options, **variant.sampling),
    )


def controlnet_depth(reference: Oracle, variant: Variant) -> Case:
    pair, photo = pair_of(reference, variant), picture(3)
    hint = reference.depth_hint(photo, variant.width, variant.height)
    return Case(
        lambda client: client.controlnet(sendable(pair), depth_from=photo, **variant.asked_images),
        reference.controlnet(pair, hint, variant.seeds, **variant.sampling),
    )


def generate(reference: Oracle, variant: Variant) -> Case:
    pairs = _generated_pairs(reference, variant)
    return Case(
        lambda client: client.generate(PROMPT, **_asked_generate(variant)),
        reference.decode(pairs, variant.seeds, **variant.sized),
    )


def generate_img2img(reference: Oracle, variant: Variant) -> Case:
    pairs, start = _generated_pairs(reference, variant), picture(1)
    return Case(
        lambda client: client.generate(PROMPT, image=start, strength=STRENGTH, **_asked_generate(variant)),
        reference.img2img(pairs, start, variant.seeds, STRENGTH, **variant.sized),
    )


def generate_inpaint(reference: Oracle, variant: Variant) -> Case:
    pairs, start = _generated_pairs(reference, variant), picture(1)
    return Case(
        lambda client: client.generate(PROMPT, image=start, mask=mask(), **_asked_generate(variant)),
        reference.inpaint(pairs, start, mask(), variant.seeds, **variant.sized),
    )


def _asked_generate(variant: Variant) -> dict[str, Any]:
    prior: dict[str, Any] = {"prior_step_count": 3, "prior_guidance_scale": variant.guidance}
    return {**variant.asked_images, **prior, "negative_prompt": variant.negative}


def _generated_pairs(reference: Oracle, variant: Variant) -> Embeddings:
    options: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": variant.guidance}
    return reference.prior(PROMPT, variant.seeds, variant.negative, **options)


EMBEDDING_PIPELINES: tuple[Pipeline, ...] = (prior, prior_emb2emb, interpolate)
IMAGE_PIPELINES: tuple[Pipeline, ...] = (
    decode,
    img2img,
    inpaint,
    controlnet,
    controlnet_img2img,
    controlnet_depth,
    generate,
    generate_img2img,
    generate_inpaint,
)
