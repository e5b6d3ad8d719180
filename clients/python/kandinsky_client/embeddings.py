"""CLIP image embeddings, held as they travel, and kept in `.safetensors` files.

A file has two tensors, `positive` and `negative`, each [pairs, width]: what diffusers takes as `image_embeds` and
`negative_image_embeds`. The header's metadata carries `prior_fingerprint` and `receipts`, a JSON list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from kandinsky_api.v1 import types_pb2

from kandinsky_client.errors import EmbeddingFileError, IncompleteStreamError
from kandinsky_client.receipts import Receipt
from kandinsky_client.safetensors_file import Tensor, read_tensors, write_tensors

Dtype = Literal["f32", "f16", "bf16"]
_NUMPY: dict[Dtype, np.dtype[Any]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),  # numpy has no bfloat16
}
_STORED: dict[str, Dtype] = {"F32": "f32", "F16": "f16", "BF16": "bf16"}
_NAMES: dict[int, Dtype] = {
    types_pb2.DTYPE_F32: "f32",
    types_pb2.DTYPE_F16: "f16",
    types_pb2.DTYPE_BF16: "bf16",
}


@dataclass(frozen=True, repr=False)
class Embedding:
    """One CLIP image embedding.

    Args:
        data: The values, little-endian.
        dtype: The number type of `data`.
        shape: [width] or [1, width]; width is 1280 for Kandinsky 2.2.
        prior_fingerprint: The fingerprint of the prior that made it; empty is not checked by the server.
    """

    data: bytes
    dtype: Dtype
    shape: tuple[int, ...]
    prior_fingerprint: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in _NUMPY:
            raise ValueError(f"dtype must be one of {', '.join(_NUMPY)}, not {self.dtype!r}")
        expected = int(np.prod(self.shape)) * _NUMPY[self.dtype].itemsize
        if len(self.data) != expected:
            raise ValueError(
                f"{self.shape} values in {self.dtype} are {expected} bytes, not {len(self.data)}"
            )

    def __repr__(self) -> str:
        prior = f", prior {self.prior_fingerprint[:12]}" if self.prior_fingerprint else ""
        return f"<Embedding {self.dtype} {list(self.shape)}{prior}>"

    @classmethod
    def from_array(cls, array: npt.ArrayLike, *, prior_fingerprint: str = "") -> Embedding:
        """Takes an array, [width] or [1, width]; float16 stays, any other number type becomes float32.

        Raises:
            ValueError: The array has more rows than one, or no dimension.
            TypeError: It holds no real numbers.
        """
        values = np.asarray(array)
        if values.dtype.kind not in "fiub":
            raise TypeError(f"an embedding is of real numbers, not of {values.dtype}")
        if values.ndim != 1 and values.shape[:-1] != (1,):
            raise ValueError(
                f"an embedding is [width] or [1, width], not {list(values.shape)}; take one row after the other"
            )
        dtype: Dtype = "f16" if values.dtype == np.float16 else "f32"
        return cls(values.astype(_NUMPY[dtype]).tobytes(), dtype, values.shape, prior_fingerprint)

    @classmethod
    def from_message(cls, message: types_pb2.Embedding) -> Embedding:
        """Reads the wire's form.

        Raises:
            IncompleteStreamError: A dtype that this client does not know, by contract servers send f32; or bytes that
                are more or fewer than the shape says.
        """
        if message.dtype not in _NAMES:
            raise IncompleteStreamError(f"an embedding of dtype {message.dtype} needs a newer client")
        try:
            return cls(message.data, _NAMES[message.dtype], tuple(message.shape), message.prior_fingerprint)
        except ValueError as error:
            raise IncompleteStreamError(f"an embedding does not add up: {error}") from error

    def to_message(self) -> types_pb2.Embedding:
        """Returns the wire's form."""
        return types_pb2.Embedding(
            data=self.data,
            dtype=types_pb2.Dtype.Value(f"DTYPE_{self.dtype.upper()}"),
            shape=self.shape,
            prior_fingerprint=self.prior_fingerprint,
        )

    @property
    def array(self) -> npt.NDArray[np.float32]:
        """The values in float32, which holds each dtype's exactly."""
        stored = np.frombuffer(self.data, _NUMPY[self.dtype]).reshape(self.shape)
        if self.dtype == "bf16":
            return (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float32)


@dataclass(frozen=True, repr=False)
class EmbeddingPair:
    """The two embeddings that a decoder is guided by.

    Args:
        positive: What the picture should be.
        negative: What it is guided away from; None will do when guidance_scale <= 1.
        receipt: What made them; None when that is unknown.
    """

    positive: Embedding
    negative: Embedding | None = None
    receipt: Receipt | None = None

    def __repr__(self) -> str:
        return f"<EmbeddingPair {self.positive!r}, {'with' if self.negative else 'no'} negative>"

    @classmethod
    def from_message(cls, message: types_pb2.EmbeddingPair, receipt: Receipt | None = None) -> EmbeddingPair:
        """Reads the wire's form."""
        negative = Embedding.from_message(message.negative) if message.HasField("negative") else None
        return cls(Embedding.from_message(message.positive), negative, receipt)

    def to_message(self) -> types_pb2.EmbeddingPair:
        """Returns the wire's form."""
        return types_pb2.EmbeddingPair(
            positive=self.positive.to_message(),
            negative=self.negative.to_message() if self.negative else None,
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a `.safetensors` file of this pair; see `save_embeddings`."""
        write_pairs(path, [self])

    @classmethod
    def load(cls, path: str | PathLike[str]) -> EmbeddingPair:
        """Reads a `.safetensors` file that holds one pair.

        Raises:
            EmbeddingFileError: It holds none, or several (`load_embeddings` reads those).
        """
        return load_embedding(path)


def write_pairs(path: str | PathLike[str], pairs: Sequence[EmbeddingPair]) -> None:
    """Writes pairs to a `.safetensors` file, making its folder and replacing what was there.

    float16 is kept; bfloat16 is written as float32, which holds it exactly and which numpy can read.

    Raises:
        ValueError: None were given, or they differ in width, prior, or in having a negative embedding.
        OSError: The file cannot be written.
    """
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
    write_tensors(path, tensors, metadata)


def load_embeddings(path: str | PathLike[str]) -> list[EmbeddingPair]:
    """Reads the pairs of a `.safetensors` file; any that has a `positive` tensor will do. float64 becomes float32.

    Raises:
        EmbeddingFileError: The file holds something else, or is damaged.
        OSError: The file cannot be read.
    """
    try:
        tensors, metadata = read_tensors(path)
        if "positive" not in tensors:
            raise ValueError(f"it has no tensor `positive`, but {', '.join(sorted(tensors)) or 'none'}")
        return _pairs(tensors, metadata)
    except (ValueError, TypeError) as error:
        raise EmbeddingFileError(f"{path} is no file of embeddings: {error}") from error


def load_embedding(path: str | PathLike[str]) -> EmbeddingPair:
    """Reads a file that holds exactly one pair.

    Raises:
        EmbeddingFileError: It holds none or several.
    """
    pairs = load_embeddings(path)
    if len(pairs) != 1:
        raise EmbeddingFileError(f"{path} holds {len(pairs)} pairs, not one; load_embeddings reads them all")
    return pairs[0]


def _pairs(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[EmbeddingPair]:
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


def _stack(embeddings: Sequence[Embedding]) -> np.ndarray[Any, Any]:
    half = all(embedding.dtype == "f16" for embedding in embeddings)
    return np.stack([embedding.array.reshape(-1) for embedding in embeddings]).astype("f2" if half else "f4")


def _rows(name: str, tensor: Tensor, fingerprint: str) -> list[Embedding]:
    stored, shape, data = tensor.dtype, tensor.shape, tensor.data
    if stored == "F64":
        stored, data = "F32", np.frombuffer(data, "<f8").astype("<f4").tobytes()
    if stored not in _STORED:
        raise ValueError(f"`{name}` is {stored} and must be {', '.join(_STORED)} or F64")
    if len(shape) not in (1, 2) or not all(shape):
        raise ValueError(f"`{name}` is {list(shape)} and must be [pairs, width] or [width]")
    count, width = shape if len(shape) == 2 else (1, *shape)
    row_bytes = len(data) // count
    return [
        Embedding(data[row * row_bytes : (row + 1) * row_bytes], _STORED[stored], (width,), fingerprint)
        for row in range(count)
    ]
