"""CLIP image embeddings, held as they travel."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from kandinsky_api.v1 import types_pb2

from kandinsky_client.errors import IncompleteStreamError
from kandinsky_client.receipts import Receipt

Dtype = Literal["f32", "f16", "bf16"]
_NUMPY: dict[Dtype, np.dtype[Any]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),  # numpy has no bfloat16
}
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
            IncompleteStreamError: A dtype that this client does not know; by contract servers send f32.
        """
        if message.dtype not in _NAMES:
            raise IncompleteStreamError(f"an embedding of dtype {message.dtype} needs a newer client")
        return cls(message.data, _NAMES[message.dtype], tuple(message.shape), message.prior_fingerprint)

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
        from kandinsky_client.embedding_file import save_embeddings  # it imports this module

        save_embeddings(path, self)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> EmbeddingPair:
        """Reads a `.safetensors` file that holds one pair.

        Raises:
            EmbeddingFileError: It holds none, or several (`load_embeddings` reads those).
        """
        from kandinsky_client.embedding_file import load_embedding

        return load_embedding(path)
