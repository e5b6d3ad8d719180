"""Requests after conversion and validation: every default is filled in, every range holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kandinsky_server.diffusion.decoder import DecoderSampling
from kandinsky_server.diffusion.prior import PriorSampling

Floats = NDArray[np.float32]
Sampling = TypeVar("Sampling", PriorSampling, DecoderSampling)


@dataclass(frozen=True)
class Embeddings:
    """A pair of embeddings [D]; ``negative`` may be None when unguided."""

    positive: Floats
    negative: Floats | None


@dataclass(frozen=True)
class Watch:
    """What the client wants to see on the way; intervals in steps, 0 for never. ``preview_max_px`` is a side."""

    progress_interval: int = 1
    preview_interval: int = 0
    preview_format: str = "JPEG"
    preview_max_px: int = 256


@dataclass(frozen=True)
class PriorRequest:
    """``prompts`` times ``image_count`` embeddings; result k uses ``sampling.seed`` + k."""

    prompts: tuple[str, ...]
    negative_prompt: str | None
    image_count: int
    sampling: PriorSampling
    image: Image.Image | None = None
    watch: Watch = Watch()


@dataclass(frozen=True)
class InterpolateRequest:
    """``weights`` vectors times ``image_count`` embeddings; result k of each vector uses ``sampling.seed`` + k.

    A condition is a text, an image or an embedding [D].
    """

    conditions: tuple[str | Image.Image | Floats, ...]
    weights: tuple[tuple[float, ...], ...]
    negative_prior_prompt: str | None
    negative_prompt: str
    image_count: int
    sampling: PriorSampling
    watch: Watch = Watch()


@dataclass(frozen=True)
class ImageRequest:
    """Decode, Img2Img, Inpaint or ControlNet: ``embeddings`` times ``image_count`` images.

    Image k uses ``sampling.seed`` + k. ``stage`` is the one that serves it; ``hint_is_source`` says that ``hint`` is an
    image whose depth is to be estimated.
    """

    rpc: str
    stage: str
    image_count: int
    sampling: DecoderSampling
    embeddings: tuple[Embeddings, ...] = ()
    image: Image.Image | None = None
    mask: Image.Image | None = None
    paste_original: bool = False
    hint: Image.Image | None = None
    hint_is_source: bool = False
    watch: Watch = Watch()


@dataclass(frozen=True)
class GenerateRequest:
    """A prior request and the image request that its results are put into, one image an embedding."""

    prior: PriorRequest
    image: ImageRequest


Request = PriorRequest | InterpolateRequest | ImageRequest | GenerateRequest


def seeded(sampling: Sampling, index: int) -> Sampling:
    """The sampling of result ``index``."""
    return replace(sampling, seed=sampling.seed + index)
