"""From what callers hold to what the wire carries: embeddings, images, conditions."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
import PIL.Image
from kandinsky_api.v1 import prior_pb2, types_pb2

from kandinsky_client.embeddings import Embedding, EmbeddingPair
from kandinsky_client.messages import build
from kandinsky_client.pictures import png
from kandinsky_client.results import EmbeddingResult

EmbeddingLike = Embedding | EmbeddingPair | EmbeddingResult
EmbeddingsLike = EmbeddingLike | Iterable[EmbeddingLike]
ImageLike = PIL.Image.Image | str | PathLike[str] | bytes
ConditionLike = str | PIL.Image.Image | PathLike[str] | bytes | EmbeddingLike


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
    raise TypeError(
        "expected embeddings (Embedding, EmbeddingPair, results of prior), "
        f"not {type(embeddings).__name__}; Embedding.from_array takes arrays and load_embeddings files"
    )


def pair_messages(embeddings: EmbeddingsLike) -> list[types_pb2.EmbeddingPair]:
    """As `as_pairs`, in the wire's form."""
    return [pair.to_message() for pair in as_pairs(embeddings)]


def image_message(image: ImageLike | None, name: str) -> types_pb2.InputImage | None:
    """Takes a PIL image (sent as PNG), a path, or encoded bytes (both sent as they are); None stays None.

    Raises:
        OSError: The path cannot be read.
        ValueError: A PIL image whose values have no known range; `name` is what it is called.
        TypeError: Something else.
    """
    if image is None:
        return None
    if isinstance(image, PIL.Image.Image):
        return types_pb2.InputImage(data=png(image, name), format=types_pb2.IMAGE_FORMAT_PNG)
    if isinstance(image, bytes | bytearray | memoryview):
        return types_pb2.InputImage(data=bytes(image))
    if isinstance(image, str | PathLike):
        return types_pb2.InputImage(data=Path(image).read_bytes())
    raise TypeError(f"{name}: expected an image (PIL image, path or bytes), not {type(image).__name__}")


def condition_message(condition: ConditionLike, name: str) -> prior_pb2.Condition:
    """Takes a text (any str), an image (PIL image, Path, bytes) or an embedding (of a pair, its positive).

    Raises as `image_message`; `name` is what the condition is called.
    """
    if isinstance(condition, str):
        return build(prior_pb2.Condition, text=condition)
    if isinstance(condition, Embedding | EmbeddingPair | EmbeddingResult):
        return prior_pb2.Condition(embedding=as_pairs(condition)[0].positive.to_message())
    return prior_pb2.Condition(image=image_message(condition, name))
