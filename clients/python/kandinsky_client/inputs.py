"""From what callers hold to what the wire carries: embeddings, images, conditions."""

from __future__ import annotations

import io
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
import PIL.Image
from kandinsky_api.v1 import prior_pb2, types_pb2

from kandinsky_client.embeddings import Embedding, EmbeddingPair
from kandinsky_client.results import EmbeddingResult

EmbeddingLike = Embedding | EmbeddingPair | EmbeddingResult
EmbeddingsLike = EmbeddingLike | Iterable[EmbeddingLike]
ImageLike = PIL.Image.Image | str | PathLike[str] | bytes
ConditionLike = str | PIL.Image.Image | PathLike[str] | bytes | EmbeddingLike

_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}


def as_pairs(embeddings: EmbeddingsLike) -> list[EmbeddingPair]:
    """Takes an embedding, a pair, a prior's result, or several of them, in order.

    Raises:
        TypeError: Something else.
    """
    if isinstance(embeddings, Embedding):
        return [EmbeddingPair(embeddings)]
    if isinstance(embeddings, EmbeddingPair):
        return [embeddings]
    if isinstance(embeddings, EmbeddingResult):
        return [embeddings.embedding]
    if isinstance(embeddings, Iterable) and not isinstance(embeddings, str | bytes | np.ndarray):
        return [pair for item in embeddings for pair in as_pairs(item)]
    raise TypeError(f"expected embeddings (Embedding, EmbeddingPair, results of prior), not {embeddings!r}")


def pair_messages(embeddings: EmbeddingsLike) -> list[types_pb2.EmbeddingPair]:
    """As `as_pairs`, in the wire's form."""
    return [pair.to_message() for pair in as_pairs(embeddings)]


def image_message(image: ImageLike | None) -> types_pb2.InputImage | None:
    """Takes a PIL image (sent as PNG), a path, or encoded bytes (both sent as they are); None stays None.

    Raises:
        OSError: The path can not be read.
        TypeError: Something else.
    """
    if image is None:
        return None
    if isinstance(image, PIL.Image.Image):
        return types_pb2.InputImage(data=_png(image), format=types_pb2.IMAGE_FORMAT_PNG)
    if isinstance(image, bytes):
        return types_pb2.InputImage(data=image)
    if isinstance(image, str | PathLike):
        return types_pb2.InputImage(data=Path(image).read_bytes())
    raise TypeError(f"expected an image (PIL image, path or bytes), not {type(image).__name__}")


def condition_message(condition: ConditionLike) -> prior_pb2.Condition:
    """Takes a text (any str), an image (PIL image, Path, bytes) or an embedding (of a pair, its positive)."""
    if isinstance(condition, str):
        return prior_pb2.Condition(text=condition)
    if isinstance(condition, Embedding | EmbeddingPair | EmbeddingResult):
        return prior_pb2.Condition(embedding=as_pairs(condition)[0].positive.to_message())
    return prior_pb2.Condition(image=image_message(condition))


def _png(image: PIL.Image.Image) -> bytes:
    buffer = io.BytesIO()
    writable = image if image.mode in _PNG_MODES else image.convert("RGB")
    writable.save(buffer, "PNG", compress_level=1)  # lossless either way, and the wire is faster than zlib
    return buffer.getvalue()
