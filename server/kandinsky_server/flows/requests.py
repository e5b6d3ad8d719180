"""Requests after conversion and validation: every default is filled in, every range holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kandinsky_server.diffusion.decoder import DecoderSampling
from kandinsky_server.diffusion.prior import PriorSampling

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Sampling = TypeVar("Sampling", PriorSampling, DecoderSampling)

MAX_VALUE = 10_000.0
"""Of an embedding, in any element: ten, more than CLIP ever makes, times 1000, the largest weight of Interpolate.

A sixth of what float16 holds, so that the networks, whose first layer is a projection and then a norm, can take it.
"""


@dataclass(frozen=True)
class Embeddings:
    """A pair of embeddings [D]; ``negative`` may be None when unguided."""

    positive: Floats
    negative: Floats | None


@dataclass(frozen=True)
class ClipImage:
    """An image as the prior's image encoder takes it, [3, S, S]; ``digest`` is equal for equal values."""

    values: Floats
    digest: bytes


@dataclass(frozen=True)
class StreamOptions:
    """What the client wants to have on the way; intervals in steps, 0 for never. ``preview_max_px`` is a side."""

    progress_interval: int = 1
    preview_interval: int = 0
    preview_format: str = "JPEG"
    preview_max_px: int = 256
    checkpoint_interval: int = 0


@dataclass(frozen=True)
class PriorRequest:
    """``prompts`` times ``image_count`` embeddings; result k uses ``sampling.seed`` + k."""

    prompts: tuple[str, ...]
    negative_prompt: str | None
    image_count: int
    sampling: PriorSampling
    image: ClipImage | None = None
    stream_options: StreamOptions = StreamOptions()


@dataclass(frozen=True)
class InterpolateRequest:
    """``weights`` vectors times ``image_count`` embeddings; result k of each vector uses ``sampling.seed`` + k.

    A condition is a text, an image or an embedding [D].
    """

    conditions: tuple[str | ClipImage | Floats, ...]
    weights: tuple[tuple[float, ...], ...]
    negative_prior_prompt: str | None
    negative_prompt: str
    image_count: int
    sampling: PriorSampling
    stream_options: StreamOptions = StreamOptions()


@dataclass(frozen=True)
class ImageRequest:
    """Decode, Img2Img, Inpaint or ControlNet: ``embeddings`` times ``image_count`` images.

    Image k uses ``sampling.seed`` + k. ``stage`` is the one that serves it. ``image`` and ``hint`` are RGB [H, W, 3],
    ``mask`` is grey [H, W], all of the size of the output; ``hint_is_source`` says that ``hint`` is an image whose depth
    is to be estimated.
    """

    rpc: str
    stage: str
    image_count: int
    sampling: DecoderSampling
    embeddings: tuple[Embeddings, ...] = ()
    image: Bytes | None = None
    mask: Bytes | None = None
    paste_original: bool = False
    hint: Bytes | None = None
    hint_is_source: bool = False
    stream_options: StreamOptions = StreamOptions()


@dataclass(frozen=True)
class GenerateRequest:
    """A prior request and the image request that its results are put into, one image an embedding."""

    prior: PriorRequest
    image: ImageRequest


Request = PriorRequest | InterpolateRequest | ImageRequest | GenerateRequest


def first_seed(request: Request) -> int:
    """The seed of a request's first result."""
    return request.image.sampling.seed if isinstance(request, GenerateRequest) else request.sampling.seed


def seeded(sampling: Sampling, index: int) -> Sampling:
    """The sampling of result ``index``."""
    return replace(sampling, seed=sampling.seed + index)
