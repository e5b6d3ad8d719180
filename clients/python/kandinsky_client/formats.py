"""Image encodings by the names that the contract gives them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from kandinsky_api.v1 import types_pb2

ImageFormat = Literal["png", "jpeg", "webp", "raw_rgb8", "raw_rgb_f32"]
ResultFormat = ImageFormat | Literal["unknown"]
PreviewFormat = Literal["jpeg", "webp"]

FORMATS: dict[int, ImageFormat] = {
    types_pb2.IMAGE_FORMAT_PNG: "png",
    types_pb2.IMAGE_FORMAT_JPEG: "jpeg",
    types_pb2.IMAGE_FORMAT_WEBP: "webp",
    types_pb2.IMAGE_FORMAT_RAW_RGB8: "raw_rgb8",
    types_pb2.IMAGE_FORMAT_RAW_RGB_F32: "raw_rgb_f32",
}
SUFFIX_FORMATS: dict[str, ImageFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
RAW_DTYPES: dict[str, np.dtype[Any]] = {
    "raw_rgb8": np.dtype(np.uint8),
    "raw_rgb_f32": np.dtype("<f4"),
}


def format_of(value: int) -> ResultFormat:
    """Returns the name of an encoding; "unknown" for one that is newer than this client."""
    return FORMATS.get(value, "unknown")
