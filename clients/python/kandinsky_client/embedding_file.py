"""Embeddings in `.safetensors` files.

Two tensors, `positive` and `negative`, each [pairs, width]: what diffusers takes as `image_embeds` and
`negative_image_embeds`. The header's metadata carries `prior_fingerprint` and `receipts`, a JSON list.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from kandinsky_client.embeddings import Dtype, Embedding, EmbeddingPair
from kandinsky_client.errors import EmbeddingFileError
from kandinsky_client.inputs import EmbeddingsLike, as_pairs
from kandinsky_client.receipts import Receipt

_DTYPES: dict[str, Dtype] = {"F32": "f32", "F16": "f16", "BF16": "bf16"}


def save_embeddings(path: str | PathLike[str], embeddings: EmbeddingsLike) -> None:
    """Writes embeddings to a `.safetensors` file, making its folder and replacing what was there.

    float16 is kept; bfloat16 is written as float32, which holds it exactly and which numpy can read.

    Raises:
        ValueError: None were given, or they differ in width, prior, or in having a negative embedding.
        OSError: The file can not be written.
    """
    pairs = as_pairs(embeddings)
    if len({(p.positive.prior_fingerprint, p.positive.array.size, p.negative is None) for p in pairs}) != 1:
        raise ValueError("one file holds pairs of one prior and width, all with a negative embedding or none")
    tensors = {"positive": _stack([pair.positive for pair in pairs])}
    negatives = [pair.negative for pair in pairs if pair.negative]
    if negatives:
        tensors["negative"] = _stack(negatives)
    metadata = {
        "prior_fingerprint": pairs[0].positive.prior_fingerprint,
        "receipts": json.dumps([pair.receipt.to_dict() if pair.receipt else None for pair in pairs]),
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(tensors, target, metadata)


def load_embeddings(path: str | PathLike[str]) -> list[EmbeddingPair]:
    """Reads the pairs of a `.safetensors` file; any that has a `positive` tensor will do. float64 becomes float32.

    Raises:
        EmbeddingFileError: The file holds something else, or is damaged.
        OSError: The file can not be read.
    """
    content = Path(path).read_bytes()
    try:
        tensors = dict(safetensors.deserialize(content))  # type: ignore[no-untyped-call]
        if "positive" not in tensors:
            raise ValueError(f"it has no tensor `positive`, but {', '.join(sorted(tensors)) or 'none'}")
        return _pairs(tensors, _metadata(content))
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise EmbeddingFileError(f"{path} is no file of embeddings: {error}") from error


def _pairs(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> list[EmbeddingPair]:
    fingerprint = metadata.get("prior_fingerprint", "")
    positives = _rows("positive", tensors["positive"], fingerprint)
    nothing = [None] * len(positives)
    negatives = _rows("negative", tensors["negative"], fingerprint) if "negative" in tensors else nothing
    receipts = json.loads(metadata.get("receipts", "null")) or nothing
    if len(negatives) != len(positives):
        raise ValueError(f"it has {len(positives)} rows of `positive` and {len(negatives)} of `negative`")
    if not isinstance(receipts, list) or len(receipts) != len(positives):
        raise ValueError(f"its metadata `receipts` is no JSON list of {len(positives)}, one a row")
    return [
        EmbeddingPair(positive, negative, Receipt.from_json(json.dumps(receipt)) if receipt else None)
        for positive, negative, receipt in zip(positives, negatives, receipts, strict=True)
    ]


def load_embedding(path: str | PathLike[str]) -> EmbeddingPair:
    """Reads a file that holds exactly one pair.

    Raises:
        EmbeddingFileError: It holds none or several.
    """
    pairs = load_embeddings(path)
    if len(pairs) != 1:
        raise EmbeddingFileError(f"{path} holds {len(pairs)} pairs, not one; load_embeddings reads them all")
    return pairs[0]


def _stack(embeddings: Sequence[Embedding]) -> np.ndarray[Any, Any]:
    half = all(embedding.dtype == "f16" for embedding in embeddings)
    return np.stack([embedding.array.reshape(-1) for embedding in embeddings]).astype("f2" if half else "f4")


def _rows(name: str, tensor: Mapping[str, Any], fingerprint: str) -> list[Embedding]:
    stored, shape, data = tensor["dtype"], tensor["shape"], bytes(tensor["data"])
    if stored == "F64":
        stored, data = "F32", np.frombuffer(data, "<f8").astype("<f4").tobytes()
    if stored not in _DTYPES:
        raise ValueError(f"`{name}` is {stored} and must be {', '.join(_DTYPES)} or F64")
    if len(shape) not in (1, 2) or not all(shape):
        raise ValueError(f"`{name}` is {list(shape)} and must be [pairs, width] or [width]")
    count, width = shape if len(shape) == 2 else (1, *shape)
    row_bytes = len(data) // count
    return [
        Embedding(data[row * row_bytes : (row + 1) * row_bytes], _DTYPES[stored], (width,), fingerprint)
        for row in range(count)
    ]


def _metadata(content: bytes) -> dict[str, str]:
    """safetensors hands out metadata of files only, not of bytes; its header is plain JSON after a length."""
    (length,) = struct.unpack_from("<Q", content)
    metadata: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return metadata
