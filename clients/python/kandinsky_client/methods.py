"""The seven calls, spelt once for both clients, their event streams and their estimates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar, Unpack

import numpy as np
from kandinsky_api.v1 import image_pb2, prior_pb2

from kandinsky_client.inputs import (
    ConditionLike,
    EmbeddingsLike,
    ImageLike,
    condition_message,
    image_message,
    pair_messages,
)
from kandinsky_client.messages import build, texts
from kandinsky_client.options import (
    CallOptions,
    ImageOptions,
    PriorOptions,
    image_fields,
    prior_fields,
    prior_sampling,
)
from kandinsky_client.rpcs import EmbeddingRequest, ImageRequest, Request

EmbeddingsT = TypeVar("EmbeddingsT", covariant=True)
ImagesT = TypeVar("ImagesT", covariant=True)
T = TypeVar("T")


class Methods(ABC, Generic[EmbeddingsT, ImagesT]):
    """Builds the requests; subclasses decide how they are sent.

    Options that are left out, or None, get the server's default. Values are checked by the server, which says
    what to change (`InvalidRequestError`); a call can raise any `RpcError`, and `IncompleteStreamError`.
    Misspelt options and values of the wrong type are a TypeError; numbers that the wire cannot carry, and what
    is no text, a ValueError. A path, or a file's bytes, are sent as they are, so they are the smallest way to send
    a photo; a PIL image is sent as PNG. Either way the photo is turned upright by its EXIF orientation, as
    diffusers' `load_image` does, and nothing else in its metadata counts.
    """

    @abstractmethod
    def _embeddings(self, request: EmbeddingRequest, options: CallOptions) -> EmbeddingsT: ...

    @abstractmethod
    def _images(self, request: ImageRequest, options: CallOptions) -> ImagesT: ...

    def prior(
        self,
        prompts: str | Sequence[str],
        *,
        negative_prompt: str | None = None,
        image: ImageLike | None = None,
        strength: float | None = None,
        **options: Unpack[PriorOptions],
    ) -> EmbeddingsT:
        """Turns prompts into embeddings.

        Args:
            prompts: One prompt or several.
            negative_prompt: What the pictures are guided away from. None: the negative embedding is a black
                image's; a text, even "": it is made from that by the prior.
            image: An image to start from, in place of noise.
            strength: How far to go from `image`, above 0 to 1. Default 0.3.
            options: See `kandinsky_client.PriorOptions`.
        """
        request = build(
            prior_pb2.PriorRequest,
            prompts=texts("prompts", prompts),
            negative_prompt=negative_prompt,
            image=image_message(image, "image"),
            strength=strength,
            **prior_fields(options),
        )
        return self._embeddings(request, options)

    def interpolate(
        self,
        conditions: Sequence[ConditionLike],
        weights: Sequence[float] | Sequence[Sequence[float]],
        *,
        negative_prior_prompt: str | None = None,
        negative_prompt: str = "",
        **options: Unpack[PriorOptions],
    ) -> EmbeddingsT:
        """Mixes texts, images and embeddings by weight.

        Args:
            conditions: What to mix: a str is a text; PIL images, Paths and bytes are images; embeddings are
                themselves, a pair by its positive.
            weights: One finite weight a condition; or several such vectors, for one embedding each.
            negative_prior_prompt: The negative prompt of each text's prior run.
            negative_prompt: What the result's negative embedding is made from.
            options: See `kandinsky_client.PriorOptions`.
        """
        request = build(
            prior_pb2.InterpolateRequest,
            conditions=_conditions(conditions),
            weights=_weights(weights),
            negative_prior_prompt=negative_prior_prompt,
            negative_prompt=negative_prompt,
            **prior_fields(options),
        )
        return self._embeddings(request, options)

    def decode(self, embeddings: EmbeddingsLike, **options: Unpack[ImageOptions]) -> ImagesT:
        """Turns embeddings into images.

        Args:
            embeddings: What `prior` returned, a pair, or several.
            options: See `kandinsky_client.ImageOptions`.
        """
        request = build(
            image_pb2.DecodeRequest,
            embeddings=pair_messages(embeddings),
            **image_fields(options),
        )
        return self._images(request, options)

    def img2img(
        self,
        embeddings: EmbeddingsLike,
        image: ImageLike,
        *,
        strength: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> ImagesT:
        """Repaints an image towards embeddings.

        Args:
            embeddings: What `prior` returned, a pair, or several.
            image: The image to start from.
            strength: How far to go from it, above 0 to 1. Default 0.3.
            options: See `kandinsky_client.ImageOptions`.
        """
        request = build(
            image_pb2.Img2ImgRequest,
            embeddings=pair_messages(embeddings),
            image=image_message(image, "image"),
            strength=strength,
            **image_fields(options),
        )
        return self._images(request, options)

    def inpaint(
        self,
        embeddings: EmbeddingsLike,
        image: ImageLike,
        mask: ImageLike,
        *,
        paste_original: bool = False,
        **options: Unpack[ImageOptions],
    ) -> ImagesT:
        """Repaints the white part of a mask.

        Args:
            embeddings: What `prior` returned, a pair, or several.
            image: The image.
            mask: White (128 and above) is repainted, black is kept. Colours count, not an alpha channel.
                `ImageSet.completed.warnings` tells of a mask that repaints nothing, or everything.
            paste_original: Pastes the kept pixels back, so that they are exactly the input's.
            options: See `kandinsky_client.ImageOptions`.
        """
        request = build(
            image_pb2.InpaintRequest,
            embeddings=pair_messages(embeddings),
            image=image_message(image, "image"),
            mask=image_message(mask, "mask"),
            paste_original=paste_original,
            **image_fields(options),
        )
        return self._images(request, options)

    def controlnet(
        self,
        embeddings: EmbeddingsLike,
        *,
        hint: ImageLike | None = None,
        depth_from: ImageLike | None = None,
        image: ImageLike | None = None,
        strength: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> ImagesT:
        """Turns embeddings into images that follow a depth hint. Give `hint` or `depth_from`.

        Args:
            embeddings: What `prior` returned, a pair, or several.
            hint: The hint itself, such as a depth map.
            depth_from: An image whose depth the server estimates.
            image: An image to start from, in place of noise.
            strength: How far to go from `image`, above 0 to 1. Default 0.3.
            options: See `kandinsky_client.ImageOptions`.

        Raises:
            ValueError: Both of `hint` and `depth_from`, which the wire cannot carry.
        """
        if hint is not None and depth_from is not None:
            raise ValueError("give hint or depth_from, not both")
        request = build(
            image_pb2.ControlNetRequest,
            embeddings=pair_messages(embeddings),
            hint=image_message(hint, "hint"),
            depth_from=image_message(depth_from, "depth_from"),
            image=image_message(image, "image"),
            strength=strength,
            **image_fields(options),
        )
        return self._images(request, options)

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        negative_prompt: str | None = None,
        prior_seed: int | None = None,
        prior_step_count: int | None = None,
        prior_guidance_scale: float | None = None,
        image: ImageLike | None = None,
        mask: ImageLike | None = None,
        strength: float | None = None,
        paste_original: bool = False,
        **options: Unpack[ImageOptions],
    ) -> ImagesT:
        """Turns prompts into images in one call: `prior`, then `decode`, `img2img` or `inpaint`.

        Args:
            prompts: One prompt or several.
            negative_prompt: As in `prior`.
            prior_seed: The seed of the first embedding; result k uses prior_seed + k. Default: `seed`. With it the
                embeddings stay as they are while `seed` varies the images.
            prior_step_count: Denoising steps of the prior. Default 25.
            prior_guidance_scale: Classifier-free guidance of the prior, 0 to 100. Default 4.
            image: An image to start from.
            mask: The white part of `image` is repainted.
            strength: How far to go from `image`, above 0 to 1; not with `mask`. Default 0.3.
            paste_original: As in `inpaint`.
            options: See `kandinsky_client.ImageOptions`.
        """
        request = build(
            image_pb2.GenerateRequest,
            prompts=texts("prompts", prompts),
            negative_prompt=negative_prompt,
            prior_sampling=prior_sampling(prior_seed, prior_step_count, prior_guidance_scale),
            image=image_message(image, "image"),
            mask=image_message(mask, "mask"),
            strength=strength,
            paste_original=paste_original,
            **image_fields(options),
        )
        return self._images(request, options)


class View(Methods[T, T]):
    """The seven calls with another outcome, such as events or estimates.

    Args:
        start: Takes the request of a call and its options.
    """

    def __init__(self, start: Callable[[Request, CallOptions], T]) -> None:
        self._start = start

    def _embeddings(self, request: EmbeddingRequest, options: CallOptions) -> T:
        return self._start(request, options)

    def _images(self, request: ImageRequest, options: CallOptions) -> T:
        return self._start(request, options)


def _conditions(conditions: Sequence[ConditionLike]) -> list[prior_pb2.Condition]:
    if isinstance(conditions, str | bytes) or not isinstance(conditions, Iterable):
        raise TypeError(f"conditions must be several, in a list, not {type(conditions).__name__}")
    return [condition_message(condition, f"conditions[{k}]") for k, condition in enumerate(conditions)]


def _weights(weights: Sequence[float] | Sequence[Sequence[float]]) -> list[prior_pb2.Weights]:
    try:
        vectors = np.atleast_2d(np.asarray(weights, np.float64))
    except (TypeError, ValueError):
        vectors = np.empty((0, 0, 0))
    if vectors.ndim != 2:
        raise ValueError("weights must be one number a condition, or a list of such lists, all equally long")
    return [prior_pb2.Weights(values=vector) for vector in vectors.tolist()]
