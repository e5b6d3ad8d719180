"""Single messages that are small on the wire, or allowed, and large or slow for whoever reads them without looking."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from kandinsky_api.v1 import image_pb2, prior_pb2
from kandinsky_api.v1 import types_pb2 as pb

from benchmarks.attacks.attack import Attack, Verdict
from benchmarks.attacks.vigil import Vigil
from benchmarks.setting import Setting

LONG = 31 * 2**20
TRAILER_BYTES = 8192
"""What clients take at most, unless they are told otherwise."""

PRIOR = "PriorService/Prior"
INTERPOLATE = "PriorService/Interpolate"
DECODE = "ImageService/Decode"
IMG2IMG = "ImageService/Img2Img"
ESTIMATE = "ServerService/Estimate"

TEXT = prior_pb2.InterpolateRequest(conditions=[prior_pb2.Condition(text="a")]).SerializeToString()


@dataclass(frozen=True)
class Heard:
    """What the sender of a message was told; ``trailer_bytes`` are those of all trailing metadata, in base64."""

    code: grpc.StatusCode
    details: str
    seconds: float
    trailer_bytes: int


def bombs(size: int) -> Mapping[str, tuple[str, bytes]]:
    """Messages of about ``size`` bytes by name, each with its method."""
    half, eighth = size // 2, size // 8
    nan = struct.pack("<d", math.nan)
    conditions, weights = b"\x0a\x00" * half, b"\x12\x00" * half
    prompts = b"\x0a\x00" * half
    text = "é" * half
    shape = pb.Embedding(shape=[64]).SerializeToString()[:1] + _varint(size) + b"\x01" * size
    bad = b"\x0a" + _varint(size) + b"\xff" * size
    return {
        "empty conditions": (INTERPOLATE, conditions),
        "empty weight vectors": (INTERPOLATE, TEXT + weights),
        "NaN weights, one vector": (INTERPOLATE, TEXT + _field(2, _field(1, nan * eighth))),
        "NaN weights, a vector each": (INTERPOLATE, TEXT + _field(2, _field(1, nan)) * (size // 12)),
        "NaN weights, unpacked": (INTERPOLATE, TEXT + _field(2, (b"\x09" + nan) * (size // 9))),
        "empty prompts": (PRIOR, prompts),
        "one long prompt": (PRIOR, prior_pb2.PriorRequest(prompts=[text]).SerializeToString()),
        "one long negative prompt": (PRIOR, prior_pb2.PriorRequest(negative_prompt=text).SerializeToString()),
        "bytes that are no UTF-8": (PRIOR, bad),
        "empty pairs": (DECODE, b"\x0a\x00" * half),
        "an image again and again": (IMG2IMG, b"\x12\x00" * half),
        "empty embeddings in a pair": (DECODE, _field(1, b"\x0a\x00" * half)),
        "a shape without end": (DECODE, _field(1, _field(1, shape))),
        "a fingerprint without end": (DECODE, _field(1, _field(1, _field(4, b"f" * size)))),
        "an embedding without end": (DECODE, _decode_of(bytes(half)).SerializeToString()),
        "unknown numbers": (PRIOR, b"\xf8\x07\x01" * (size // 3)),
        "one unknown field": (PRIOR, _field(127, bytes(size))),
        "groups in groups": (PRIOR, b"\xfb\x07" * half),
        "conditions to estimate": (ESTIMATE, _field(2, conditions)),
        "NaN weights to estimate": (ESTIMATE, _field(2, TEXT + _field(2, _field(1, nan * eighth)))),
        "requests to estimate": (ESTIMATE, b"\x0a\x00" * half),
    }


def send(channel: grpc.Channel, method: str, message: bytes, **metadata: str) -> Heard:
    """Sends one message, compressed by gzip, and reads the stream to its end."""
    call: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"/kandinsky_api.v1.{method}")
    began = time.monotonic()
    stream = call(message, timeout=120, compression=grpc.Compression.Gzip, metadata=(*metadata.items(),))
    try:
        for _ in stream:
            pass
    except grpc.RpcError:
        pass
    seconds = time.monotonic() - began
    trailers = stream.trailing_metadata() or ()
    size = sum(
        32 + len(key) + len(value) * (4 / 3 if isinstance(value, bytes) else 1) for key, value in trailers
    )
    details = stream.details() or ""
    # Percent-encoding makes three bytes of each that is not plain.
    size += sum(1 if 0x20 <= byte < 0x7F else 3 for byte in details.encode())
    return Heard(stream.code(), details, seconds, math.ceil(size))


def _decode_of(data: bytes) -> image_pb2.DecodeRequest:
    embedding = pb.Embedding(data=data, dtype=pb.DTYPE_F32, shape=[64])
    return image_pb2.DecodeRequest(embeddings=[pb.EmbeddingPair(positive=embedding, negative=embedding)])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    more = bytearray()
    while value > 0x7F:
        more.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*more, value])


def _attack(name: str, size: int, before: str) -> Attack:
    def run() -> Verdict:
        method, message = bombs(size)[name]
        flags = ("--log-format=json",)
        with (
            Setting(Path("toy")).ours(*flags) as server,
            grpc.insecure_channel(server.target) as channel,
            Vigil(server.target, server.pid) as vigil,
        ):
            heard = send(channel, method, message)
        refused = heard.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
        held = refused and heard.trailer_bytes < TRAILER_BYTES and vigil.growth_mib < 6 * size / 2**20
        others = max(vigil.health_seconds, vigil.prior_seconds)
        return Verdict(
            held and not vigil.failures,
            f"{heard.code.name} in {heard.seconds:.1f} s, +{vigil.growth_mib:.0f} MiB, status {heard.trailer_bytes} B, "
            f"others waited {others:.2f} s",
        )

    return Attack(name, f"{size / 2**20:.0f} MiB in one message of gzip", before, run)


ATTACKS = (
    _attack("empty conditions", LONG, "7 GB in 32 s; nobody else served from the first second"),
    _attack("empty weight vectors", LONG, "15 s"),
    _attack("NaN weights, one vector", LONG, "20 s, 3.4 GB, a status of 184 MB"),
    _attack("conditions to estimate", LONG, "as empty conditions"),
    _attack("one long prompt", LONG, "not tried"),
    _attack("one unknown field", LONG, "not tried"),
)
