"""The requests that these tests send: Decodes of noise, in floats so that they can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from kandinsky_api.v1 import image_pb2
from kandinsky_api.v1 import types_pb2 as pb

from tests.support.raw import Answer, pair, sampling


def decode(seed: int = 0, output: dict[str, Any] | None = None, **options: Any) -> image_pb2.DecodeRequest:
    """A Decode of embeddings that no other seed has."""
    return image_pb2.DecodeRequest(
        embeddings=[pair(seed)],
        sampling=sampling(**options),
        output=pb.OutputOptions(format=pb.IMAGE_FORMAT_RAW_RGB_F32, **(output or {})),
    )


def pixels(answer: Answer) -> np.ndarray:
    """All images of an answer by their index, as one row of floats; they come as they are finished."""
    assert answer.images, answer
    images = sorted(answer.images, key=lambda result: result.index)
    return np.concatenate([np.frombuffer(result.data, "<f4") for result in images])
