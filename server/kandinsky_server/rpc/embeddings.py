"""Embeddings between protobuf and numpy."""

from __future__ import annotations

import numpy as np
from kandinsky_api.v1 import types_pb2 as pb
from numpy.typing import NDArray

from kandinsky_server.errors import FingerprintMismatch, InvalidEmbedding, Violation
from kandinsky_server.flows.requests import MAX_VALUE, Embeddings

Floats = NDArray[np.float32]
FINGERPRINT_LENGTH = 64
"""Characters of a fingerprint that are told again: more than any has."""

SIZES = {pb.DTYPE_F32: 4, pb.DTYPE_F16: 2, pb.DTYPE_BF16: 2}


def read_embedding(message: pb.Embedding, field: str, width: int, prior_fingerprint: str | None) -> Floats:
    """The values [width] as float32.

    Raises:
        InvalidEmbedding: wrong dtype, shape, number of bytes, not finite, or beyond `MAX_VALUE`.
        FingerprintMismatch: it names another prior than ``prior_fingerprint`` (None: no prior is loaded).
    """
    if message.dtype not in SIZES:
        raise _invalid(f"{field}.dtype", "must be DTYPE_F32, DTYPE_F16 or DTYPE_BF16")
    shape = list(message.shape[:3])
    if shape not in ([width], [1, width]):
        raise _invalid(f"{field}.shape", f"must be [{width}] or [1, {width}], not {shape}")
    expected = width * SIZES[message.dtype]
    if len(message.data) != expected:
        raise _invalid(
            f"{field}.data", f"must have {expected} bytes for its shape and dtype, not {len(message.data)}"
        )
    values = _to_float32(message)
    if not np.isfinite(values).all():
        raise _invalid(f"{field}.data", "holds NaN or infinity")
    if np.abs(values).max() > MAX_VALUE:
        raise _invalid(
            f"{field}.data", f"holds values beyond {MAX_VALUE:g}, where CLIP's are about 1; scale it down"
        )
    maker = message.prior_fingerprint
    if maker and prior_fingerprint and maker != prior_fingerprint:
        raise FingerprintMismatch(
            f"{field} was made by the prior {maker[:FINGERPRINT_LENGTH]} and this server's is {prior_fingerprint}; make "
            "it again with this server's Prior, or send it to a server with that prior",
            field=field,
            embedding_fingerprint=maker[:FINGERPRINT_LENGTH],
            server_fingerprint=prior_fingerprint,
        )
    return values


def read_pair(
    message: pb.EmbeddingPair, field: str, width: int, prior_fingerprint: str | None, guided: bool
) -> Embeddings:
    """Both embeddings; the negative one is needed, and read, only when ``guided``."""
    if not message.HasField("positive"):
        raise _invalid(f"{field}.positive", "must be set")
    positive = read_embedding(message.positive, f"{field}.positive", width, prior_fingerprint)
    if not guided:
        return Embeddings(positive, None)
    if not message.HasField("negative"):
        raise _invalid(f"{field}.negative", "must be set when guidance_scale is above 1")
    return Embeddings(
        positive, read_embedding(message.negative, f"{field}.negative", width, prior_fingerprint)
    )


def write_pair(pair: Embeddings, prior_fingerprint: str) -> pb.EmbeddingPair:
    """Both embeddings as float32."""
    message = pb.EmbeddingPair(positive=_write(pair.positive, prior_fingerprint))
    if pair.negative is not None:
        message.negative.CopyFrom(_write(pair.negative, prior_fingerprint))
    return message


def _write(values: Floats, prior_fingerprint: str) -> pb.Embedding:
    return pb.Embedding(
        data=values.astype("<f4").tobytes(),
        dtype=pb.DTYPE_F32,
        shape=[len(values)],
        prior_fingerprint=prior_fingerprint,
    )


def _to_float32(message: pb.Embedding) -> Floats:
    if message.dtype == pb.DTYPE_BF16:
        # A bfloat16 is the upper half of a float32.
        return (np.frombuffer(message.data, "<u2").astype(np.uint32) << 16).view(np.float32)
    kind = "<f4" if message.dtype == pb.DTYPE_F32 else "<f2"
    return np.frombuffer(message.data, kind).astype(np.float32)


def _invalid(field: str, description: str) -> InvalidEmbedding:
    return InvalidEmbedding([Violation(field, description)])
