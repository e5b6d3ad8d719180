"""Checkpoints of requests, on the wire."""

from __future__ import annotations

import asyncio
import hashlib
import math
from typing import Any

import torch
from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.diffusion.saved_latents import SavedLatents
from kandinsky_server.flows.events import CheckpointMade
from kandinsky_server.flows.requests import Embeddings
from kandinsky_server.flows.resume import AFRESH, CHECKPOINTS, Checkpoint, Resume
from kandinsky_server.rpc.embeddings import read_pair
from kandinsky_server.rpc.violations import Violations

VERSION = 1
MOST_PARTS = 512
"""Of each kind, in one request: more than any request has trajectories."""

DTYPES = {pb.DTYPE_F32: torch.float32, pb.DTYPE_F16: torch.float16, pb.DTYPE_BF16: torch.bfloat16}
WIRE_DTYPES = {dtype: wire for wire, dtype in DTYPES.items()}


async def request_digest(message: Any, seed: int) -> str:
    """The SHA-256 of a request without its options, with the seed of its first result, in hexadecimal.

    Made in a thread: pictures are large.
    """
    return await asyncio.to_thread(_digest, message, seed)


def _digest(message: Any, seed: int) -> str:
    bare = type(message)()
    bare.CopyFrom(message)
    bare.ClearField("options")
    bare.sampling.seed = seed
    name = message.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\n" + bare.SerializeToString(deterministic=True)).hexdigest()


def read_resume(message: pb.Resume, digest: str, width: int, fingerprint: str | None) -> Resume:
    """Checks it by itself; whether its parts fit the request's trajectories is the flow's to check.

    Args:
        message: the request's ``options.resume``.
        digest: the request's, by `request_digest`.
        width: numbers of an embedding.
        fingerprint: the loaded prior's; None where there is none.

    Raises:
        InvalidRequest: it is malformed, or of another request.
        FingerprintMismatch: an embedding is of another prior.
    """
    found = Violations()
    for name in ("checkpoints", "embeddings", "image_indices", "stage_fingerprints"):
        found.integer(f"options.resume.{name}", len(getattr(message, name)), 0, MOST_PARTS, verb="hold")
    found.check()
    checkpoints = {}
    for place, each in enumerate(message.checkpoints):
        latents = _read_latents(found, f"{CHECKPOINTS}[{place}]", each, digest)
        if latents:
            checkpoints[each.stage, each.index] = Checkpoint(each.stage_fingerprint, latents, place)
    found.check()
    embeddings: dict[int, Embeddings] = {}
    for place, delivered in enumerate(message.embeddings):
        field = f"options.resume.embeddings[{place}].embeddings"
        guided = delivered.embeddings.HasField("negative")
        embeddings[delivered.index] = read_pair(delivered.embeddings, field, width, fingerprint, guided)
    fingerprints = dict(message.stage_fingerprints)
    return Resume(checkpoints, embeddings, frozenset(message.image_indices), fingerprints)


def _read_latents(found: Violations, field: str, message: pb.Checkpoint, digest: str) -> SavedLatents | None:
    dtype, shape = DTYPES.get(message.dtype), tuple(message.shape[:5])
    if message.version != VERSION:
        found.add(f"{field}.version", f"must be {VERSION}, not {message.version}; {AFRESH}")
    elif message.request_digest != digest:
        found.add(f"{field}.request_digest", f"is of another request than this one; {AFRESH}")
    elif dtype is None:
        found.add(f"{field}.dtype", "must be DTYPE_F32, DTYPE_F16 or DTYPE_BF16")
    elif not 1 <= message.step <= message.step_count:
        found.add(f"{field}.step", f"must be 1 to {message.step_count}, not {message.step}")
    elif len(shape) > 4 or min(shape, default=0) < 1:
        found.add(f"{field}.shape", "must be one to four sizes above 0")
    elif len(message.latents) != (expected := math.prod(shape) * dtype.itemsize):
        found.add(
            f"{field}.latents", f"must have {expected} bytes for shape and dtype, not {len(message.latents)}"
        )
    else:
        saved = SavedLatents(message.step, message.step_count, dtype, shape, message.latents)
        if bool(torch.isfinite(saved.tensor()).all()):
            return saved
        found.add(f"{field}.latents", "holds NaN or infinity")
    return None


def write_checkpoint(event: CheckpointMade, digest: str) -> pb.Checkpoint:
    """Where a trajectory of the request with this digest can be gone on with."""
    latents = event.latents
    return pb.Checkpoint(
        version=VERSION,
        stage=event.stage,
        index=event.index,
        step=latents.step,
        step_count=latents.step_count,
        dtype=WIRE_DTYPES[latents.dtype],
        shape=latents.shape,
        latents=latents.data,
        stage_fingerprint=event.fingerprint,
        request_digest=digest,
    )
