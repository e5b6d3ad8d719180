"""Calls the server with raw stubs, as any client in any language might, and keeps every part of the answer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from kandinsky_api.v1 import events_pb2, image_pb2, image_pb2_grpc, prior_pb2, prior_pb2_grpc, server_pb2_grpc
from kandinsky_api.v1 import types_pb2 as pb
from PIL import Image

WIDTH = 64
"""Floats of the tiny checkpoint's embeddings."""


@dataclass
class Answer:
    """How a call ended, and what it carried until then: of a stream its events, else its response.

    ``reason``, ``domain`` and ``metadata`` are ErrorInfo's.
    """

    code: grpc.StatusCode
    message: str = ""
    reason: str = ""
    domain: str = ""
    violations: dict[str, str] = field(default_factory=dict)
    retry_seconds: float | None = None
    request_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    pushback_ms: int | None = None
    events: list[Any] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        return [event.WhichOneof("kind") for event in self.events]

    @cached_property
    def images(self) -> list[events_pb2.ImageResult]:
        return [event.image for event in self.events if event.WhichOneof("kind") == "image"]

    @cached_property
    def embeddings(self) -> list[events_pb2.EmbeddingResult]:
        return [event.embedding for event in self.events if event.WhichOneof("kind") == "embedding"]


class Raw:
    """All services of one server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.prior_service = prior_pb2_grpc.PriorServiceStub(channel)
        self.image_service = image_pb2_grpc.ImageServiceStub(channel)
        self.server_service = server_pb2_grpc.ServerServiceStub(channel)
        # Any: its types name none of its methods.
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    def call(self, method: str, request: Any, timeout: float | None = 120, **metadata: str) -> Answer:
        """Calls ``method``, such as "Decode", and reads its stream to the end."""
        services = (self.prior_service, self.image_service, self.server_service)
        stub = next(getattr(service, method) for service in services if hasattr(service, method))
        pairs = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        return self.read(stub, request, timeout=timeout, metadata=pairs)

    @staticmethod
    def read(stub: Any, request: Any, **options: Any) -> Answer:
        if isinstance(stub, grpc.UnaryStreamMultiCallable):
            return rest(stub(request, **options))
        try:
            response, call = stub.with_call(request, **options)
        except grpc.RpcError as error:
            return _failed(error, [])
        return Answer(grpc.StatusCode.OK, request_id=_request_id(call), events=[response])

    def serving(self, service: str = "") -> str:
        """The health of ``service`` by name."""
        status = self.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status
        return health_pb2.HealthCheckResponse.ServingStatus.Name(status)


def rest(call: Any) -> Answer:
    """Reads what is left of a stream."""
    events: list[Any] = []
    try:
        events.extend(response.event for response in call)
    except grpc.RpcError as error:
        return _failed(error, events)
    return Answer(grpc.StatusCode.OK, request_id=_request_id(call), events=events)


@contextmanager
def connected(target: str) -> Iterator[Raw]:
    with grpc.insecure_channel(target) as channel:
        yield Raw(channel)


def only(directory: Path, model: Path, *stages: str) -> Path:
    """A model directory with links to some of the stages of ``model``."""
    directory.mkdir(exist_ok=True)
    for stage in stages:
        (directory / stage).symlink_to(model / stage)
    return directory


def pair(seed: int = 0, fingerprint: str = "", scale: float = 1.0) -> pb.EmbeddingPair:
    """Two embeddings of noise."""
    rng = np.random.default_rng(seed)
    positive, negative = (embedding(rng.normal(size=WIDTH) * scale, fingerprint) for _ in range(2))
    return pb.EmbeddingPair(positive=positive, negative=negative)


def embedding(values: Any, fingerprint: str = "") -> pb.Embedding:
    data = np.asarray(values, "<f4")
    return pb.Embedding(
        data=data.tobytes(), dtype=pb.DTYPE_F32, shape=[data.size], prior_fingerprint=fingerprint
    )


def picture(width: int = 64, height: int = 64, kind: str = "PNG", **options: Any) -> bytes:
    """An encoded picture of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def sampling(**options: Any) -> image_pb2.Sampling:
    """One step of one image, but for ``options``."""
    return image_pb2.Sampling(**{"step_count": 1, "seed": 1, **options})


def good_requests() -> dict[str, Any]:
    """A small valid request for every streaming RPC."""
    image, mask = pb.InputImage(data=picture()), pb.InputImage(data=picture(kind="WEBP"))
    return {
        "Prior": prior_pb2.PriorRequest(prompts=["a cat"], sampling=pb.PriorSampling(step_count=2, seed=1)),
        "Interpolate": prior_pb2.InterpolateRequest(
            conditions=[prior_pb2.Condition(text="a cat"), prior_pb2.Condition(image=image)],
            weights=[prior_pb2.Weights(values=[0.3, 0.7])],
            sampling=pb.PriorSampling(step_count=2, seed=1),
        ),
        "Decode": image_pb2.DecodeRequest(embeddings=[pair()], sampling=sampling()),
        "Img2Img": image_pb2.Img2ImgRequest(
            embeddings=[pair()], image=image, strength=1.0, sampling=sampling()
        ),
        "Inpaint": image_pb2.InpaintRequest(embeddings=[pair()], image=image, mask=mask, sampling=sampling()),
        "ControlNet": image_pb2.ControlNetRequest(embeddings=[pair()], hint=image, sampling=sampling()),
        "Generate": image_pb2.GenerateRequest(
            prompts=["a cat"], prior_sampling=pb.PriorSampling(step_count=2), sampling=sampling()
        ),
    }


def _failed(error: grpc.RpcError, events: list[Any]) -> Answer:
    assert isinstance(error, grpc.Call)
    answer = Answer(error.code(), error.details() or "", request_id=_request_id(error), events=events)
    if pushback := _trailing(error).get("grpc-retry-pushback-ms"):
        answer.pushback_ms = int(pushback)
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if packed.Unpack(info):
            answer.reason, answer.domain, answer.metadata = info.reason, info.domain, dict(info.metadata)
        elif packed.Unpack(bad):
            answer.violations = {v.field: v.description for v in bad.field_violations}
        elif packed.Unpack(retry):
            answer.retry_seconds = retry.retry_delay.ToTimedelta().total_seconds()
    return answer


def _request_id(call: Any) -> str:
    return _trailing(call).get("x-request-id", "")


def _trailing(call: Any) -> dict[str, str]:
    return dict(call.trailing_metadata() or ())
