"""Keyword arguments that many calls share. Leave one out, or give None, and the server's default holds."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import get_annotations
from typing import Any, Literal, TypedDict

from kandinsky_api.v1 import image_pb2, types_pb2

from kandinsky_client.call_metadata import Metadata
from kandinsky_client.formats import ImageFormat, PreviewFormat
from kandinsky_client.messages import MessageT, build

Priority = Literal["low", "normal", "high"]


class CallOptions(TypedDict, total=False):
    """How a call is made.

    Args:
        timeout: Seconds for the whole call, above 0, retries included; infinity is no limit. Default: the client's.
        metadata: gRPC metadata sent besides the client's: printable ASCII, or bytes for keys that end in "-bin".
        priority: Who goes first when there is more work than room. Default: the client's, else "normal".
        progress_interval_steps: The least steps between two progress events of one result; 0 is none.
            Default 1, or 0 for calls that return their results only at the end.
        checkpoint_interval_steps: Steps between two checkpoints of one result. When its server is lost, a call goes on
            without the results that have come; one that has checkpoints also goes on from the last ones of the results
            that are under way. Default 0: none.
    """

    timeout: float | None
    metadata: Metadata | None
    priority: Priority | None
    progress_interval_steps: int | None
    checkpoint_interval_steps: int | None


class PriorOptions(CallOptions, total=False):
    """How embeddings are sampled, beside `CallOptions`.

    Args:
        image_count: Results for each prompt or weight vector. Default 1.
        seed: The seed of the first result, not negative; result k uses seed + k. Default: drawn.
        step_count: Denoising steps. Default 25.
        guidance_scale: Classifier-free guidance, 0 to 100; 1 and below is unguided. Default 4.
    """

    image_count: int | None
    seed: int | None
    step_count: int | None
    guidance_scale: float | None


class ImageOptions(CallOptions, total=False):
    """How images are sampled and come back, beside `CallOptions`.

    Args:
        image_count: Images for each embedding pair or prompt. Default 1.
        seed: The seed of the first image, not negative; image k uses seed + k. Default: drawn.
        step_count: Denoising steps. Default 100.
        guidance_scale: Classifier-free guidance, 0 to 100; 1 and below is unguided. Default 4.
        width_px: Width in pixels, a multiple of the stage's size step. Default: the stage's native size.
        height_px: Height in pixels, likewise.
        format: The encoding of the images. Default "png".
        quality: Of jpeg and webp, 1 to 100. Default 90.
        embed_receipt: Puts the receipt as JSON into the PNG's text chunk "kandinsky".
        preview_interval_steps: Steps between two previews of one image. Default 0: none.
        preview_format: "jpeg" (default) or "webp".
        preview_max_px: The longest side of a preview, 16 to 1024. Default 256.
    """

    image_count: int | None
    seed: int | None
    step_count: int | None
    guidance_scale: float | None
    width_px: int | None
    height_px: int | None
    format: ImageFormat | None
    quality: int | None
    embed_receipt: bool | None
    preview_interval_steps: int | None
    preview_format: PreviewFormat | None
    preview_max_px: int | None


def prior_fields(options: PriorOptions) -> dict[str, Any]:
    """Returns the fields that every request for embeddings has.

    Raises:
        TypeError: A misspelt option, or one of the wrong type.
        ValueError: A name that its enum does not have.
    """
    _check_names(options, PriorOptions)
    return {"sampling": _chosen(types_pb2.PriorSampling, options), "options": request_options(options)}


def image_fields(options: ImageOptions) -> dict[str, Any]:
    """Returns the fields that every request for images has; raises as `prior_fields`."""
    _check_names(options, ImageOptions)
    return {
        "sampling": _chosen(image_pb2.Sampling, options),
        "output": _chosen(types_pb2.OutputOptions, options),
        "options": request_options(options),
    }


def prior_sampling(
    seed: int | None, step_count: int | None, guidance_scale: float | None
) -> types_pb2.PriorSampling:
    """Returns how `generate` samples embeddings; raises as `prior_fields`, by the names of its arguments."""
    given = {"prior_seed": seed, "prior_step_count": step_count, "prior_guidance_scale": guidance_scale}
    return build(types_pb2.PriorSampling, "prior_", **given)


def request_options(options: CallOptions) -> types_pb2.RequestOptions:
    """Returns priority, progress and previews, with nothing set that the caller did not set."""
    return _chosen(types_pb2.RequestOptions, options)


def _check_names(options: CallOptions, known: type[CallOptions]) -> None:
    """Refuses misspelt options, as Python does for arguments that are spelt out."""
    names = get_annotations(known)
    for name in options.keys() - names:
        raise TypeError(f"unexpected keyword argument {name!r}; known are {', '.join(names)}")


def _chosen(kind: type[MessageT], options: Mapping[str, Any]) -> MessageT:
    """Makes a message of those options that it has a field for."""
    return build(kind, **{name: options.get(name) for name in kind.DESCRIPTOR.fields_by_name})
