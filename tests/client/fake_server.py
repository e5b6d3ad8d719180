"""A small real server that speaks the contract, and can be told to misbehave."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import PIL.Image
import PIL.PngImagePlugin
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc
from grpc_status import rpc_status
from kandinsky_api.v1 import (
    events_pb2,
    image_pb2,
    image_pb2_grpc,
    prior_pb2,
    prior_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
    types_pb2,
)

WIDTH = 8
REQUEST_ID = "request-1"
TRAILING = (("x-request-id", REQUEST_ID),)
CHUNK_BYTES = 64 * 1024
LATER_KIND = events_pb2.Event.FromString(b"\xfa\x01\x02\x08\x07")
"""An event of a kind, number 31, that this contract does not have."""

LATER_FORMAT = types_pb2.ImageFormat.ValueType(77)


@dataclass
class Failure:
    code: grpc.StatusCode
    reason: str = ""
    message: str = "no"
    retry_seconds: float | None = None
    violations: tuple[tuple[str, str], ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)

    def abort(self, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata(TRAILING)
        details = []
        if self.reason:
            domain = "kandinsky-grpc.github.io"
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain=domain, metadata=self.metadata)
            details.append(info)
        if self.violations:
            fields = [
                error_details_pb2.BadRequest.FieldViolation(field=f, description=d)
                for f, d in self.violations
            ]
            details.append(error_details_pb2.BadRequest(field_violations=fields))
        if self.retry_seconds is not None:
            delay = Duration(nanos=int(self.retry_seconds * 1e9))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        if not details:
            context.abort(self.code, self.message)
        packed = []
        for detail in details:
            packed.append(PackedAny())
            packed[-1].Pack(detail)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)
        rich: Any = rpc_status.to_status(status)
        # abort_with_status replaces what was set as trailing metadata before.
        context.abort_with_status(rich._replace(trailing_metadata=(*rich.trailing_metadata, *TRAILING)))


class FakeServer(
    prior_pb2_grpc.PriorServiceServicer,
    image_pb2_grpc.ImageServiceServicer,
    server_pb2_grpc.ServerServiceServicer,
):
    """Starts on a free port; `requests` and `metadata` remember what came.

    `failures` are the next calls' fates; `fail_after_first` is that of the next call that has given a result. One that
    is `newer` sends what the contract may say one day.
    """

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.failures: deque[Failure] = deque()
        self.fail_after_first: Failure | None = None
        self.cut_stream = False
        self.lose_chunk = False
        self.endless = False
        self.newer = False
        self.backends: list[Any] = []
        self.cancelled = threading.Event()
        self.health = health.HealthServicer()
        self.health.set("", 1)
        self.health.set("kandinsky_api.v1.ImageService", 2)
        self._server = grpc.server(ThreadPoolExecutor(8))
        prior_pb2_grpc.add_PriorServiceServicer_to_server(self, self._server)
        image_pb2_grpc.add_ImageServiceServicer_to_server(self, self._server)
        server_pb2_grpc.add_ServerServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)

    def start(self, credentials: grpc.ServerCredentials | None = None) -> str:
        address = "localhost:0"
        port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        self._server.start()
        return f"localhost:{port}"

    def stop(self) -> None:
        self._server.stop(0).wait()

    def Prior(self, request: Any, context: Any) -> Iterator[Any]:
        sources = range(len(request.prompts))
        return self._stream(prior_pb2.PriorResponse, request, context, request.sampling, embeddings=sources)

    def Interpolate(self, request: Any, context: Any) -> Iterator[Any]:
        sources = range(len(request.weights))
        return self._stream(
            prior_pb2.InterpolateResponse, request, context, request.sampling, embeddings=sources
        )

    def Decode(self, request: Any, context: Any) -> Iterator[Any]:
        return self._decoder(image_pb2.DecodeResponse, request, context)

    def Img2Img(self, request: Any, context: Any) -> Iterator[Any]:
        return self._decoder(image_pb2.Img2ImgResponse, request, context)

    def Inpaint(self, request: Any, context: Any) -> Iterator[Any]:
        return self._decoder(image_pb2.InpaintResponse, request, context)

    def ControlNet(self, request: Any, context: Any) -> Iterator[Any]:
        return self._decoder(image_pb2.ControlNetResponse, request, context)

    def Generate(self, request: Any, context: Any) -> Iterator[Any]:
        sources = range(len(request.prompts))
        response = image_pb2.GenerateResponse
        sampling = request.sampling
        return self._stream(response, request, context, sampling, embeddings=sources, images=sources)

    def GetServerInfo(self, request: Any, context: Any) -> Any:
        self._arrive(request, context)
        prior = server_pb2.StageInfo(name="prior", loaded=True, embedding_width=WIDTH, backend="eager")
        return server_pb2.GetServerInfoResponse(
            stages=[prior, server_pb2.StageInfo(name="inpaint")],
            device="cpu",
            model="toy",
            backends=self.backends,
        )

    def Estimate(self, request: Any, context: Any) -> Any:
        self._arrive(request, context)
        return server_pb2.EstimateResponse(
            queue_wait=Duration(nanos=500_000_000),
            run_time=Duration(seconds=2),
            step_count=50,
            trajectory_count=1,
            queue_length=3,
            measured=True,
        )

    def _decoder(self, response: type[Any], request: Any, context: Any) -> Iterator[Any]:
        sources = range(len(request.embeddings))
        return self._stream(response, request, context, request.sampling, images=sources)

    def _arrive(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.failures:
            self.failures.popleft().abort(context)

    def _stream(
        self,
        response: type[Any],
        request: Any,
        context: Any,
        sampling: Any,
        embeddings: range = range(0),
        images: range = range(0),
    ) -> Iterator[Any]:
        self._arrive(request, context)
        finished = threading.Event()
        context.add_callback(lambda: None if finished.is_set() else self.cancelled.set())
        queued = events_pb2.Queued(
            position=2,
            predicted_start=Duration(seconds=1),
            request_id=REQUEST_ID,
            seed=sampling.seed,
            trajectory_count=3,
        )
        yield response(event=events_pb2.Event(queued=queued))
        options = request.options
        silent = options.HasField("progress_interval_steps") and not options.progress_interval_steps
        while self.endless and context.is_active():
            progress = events_pb2.Progress(stage="prior", step=1, step_count=2)
            yield response(event=events_pb2.Event(progress=progress))
        for step in () if silent else range(1, 5):
            progress = events_pb2.Progress(stage="decoder", step=step, step_count=4)
            yield response(event=events_pb2.Event(progress=progress))
        seed = sampling.seed
        count = sampling.image_count if sampling.HasField("image_count") else 1
        delivered = {each.index for each in options.resume.embeddings}, set(options.resume.image_indices)
        # Finished in another order than asked for, as step counts and company would have it.
        left = [
            [index for index in reversed(range(len(sources) * count)) if index not in done]
            for sources, done in zip((embeddings, images), delivered, strict=True)
        ]
        makers: list[Callable[..., Iterator[dict[str, Any]]]] = [self._embedding, self._image]
        for indices, make in zip(left, makers, strict=True):
            for index in indices:
                receipt = types_pb2.Receipt(
                    rpc="Fake", seed=seed + index, step_count=4, versions={"torch": "0"}
                )
                for event in make(index, index // count, receipt, request):
                    if self.newer:
                        yield response(event=LATER_KIND)
                    yield response(event=events_pb2.Event(**event))
                if failure := self.fail_after_first:
                    self.fail_after_first = None
                    failure.abort(context)
        finished.set()
        if not self.cut_stream:
            completed = events_pb2.Completed(
                embedding_count=len(left[0]),
                image_count=len(left[1]),
                step_count=4,
                seed=seed,
            )
            yield response(event=events_pb2.Event(completed=completed))

    def _embedding(self, index: int, source: int, receipt: Any, request: Any) -> Iterator[dict[str, Any]]:
        def message(value: float) -> Any:
            return types_pb2.Embedding(
                data=np.full(WIDTH, value, "<f4").tobytes(),
                dtype=types_pb2.DTYPE_F32,
                shape=[WIDTH],
                prior_fingerprint="fake-prior",
            )

        pair = types_pb2.EmbeddingPair(positive=message(index + 1), negative=message(-1))
        result = events_pb2.EmbeddingResult(
            index=index, source_index=source, embeddings=pair, receipt=receipt
        )
        yield {"embedding": result}

    def _image(self, index: int, source: int, receipt: Any, request: Any) -> Iterator[dict[str, Any]]:
        options, sampling = request.output, request.sampling
        width, height = sampling.width_px or 64, sampling.height_px or 64
        image_format = options.format or types_pb2.IMAGE_FORMAT_PNG
        receipt.width_px, receipt.height_px = width, height
        if request.options.preview_interval_steps:
            tiny = encode(np.zeros((4, 4, 3)), types_pb2.IMAGE_FORMAT_JPEG)
            jpeg = LATER_FORMAT if self.newer else types_pb2.IMAGE_FORMAT_JPEG
            yield {"preview": events_pb2.Preview(index=index, format=jpeg, data=tiny)}
        text = MessageToJson(receipt) if options.embed_receipt else None
        data = encode(pixels(width, height), image_format, text)
        whole = len(data) <= CHUNK_BYTES
        header = events_pb2.ImageResult(
            index=index,
            source_index=source,
            format=LATER_FORMAT if self.newer else image_format,
            width_px=width,
            height_px=height,
            size_bytes=len(data),
            chunk_count=0 if whole else -(-len(data) // CHUNK_BYTES),
            data=data if whole else b"",
            receipt=receipt,
        )
        yield {"image": header}
        for offset in range(0, 0 if whole else len(data), CHUNK_BYTES):
            if not (self.lose_chunk and offset == CHUNK_BYTES):
                part = data[offset : offset + CHUNK_BYTES]
                yield {"chunk": events_pb2.ImageChunk(index=index, offset_bytes=offset, data=part)}


def pixels(width: int, height: int) -> np.ndarray[Any, Any]:
    """What every image of this server shows: noise in [0, 1], which no codec makes small."""
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def encode(
    image: np.ndarray[Any, Any], image_format: types_pb2.ImageFormat.ValueType, text: str | None = None
) -> bytes:
    rounded = (image * 255).round().astype(np.uint8)
    if image_format == types_pb2.IMAGE_FORMAT_RAW_RGB_F32:
        return image.astype("<f4").tobytes()
    if image_format == types_pb2.IMAGE_FORMAT_RAW_RGB8:
        return rounded.tobytes()
    info = PIL.PngImagePlugin.PngInfo()
    if text:
        info.add_text("kandinsky", text)
    name = types_pb2.ImageFormat.Name(image_format).removeprefix("IMAGE_FORMAT_")
    buffer = io.BytesIO()
    PIL.Image.fromarray(rounded).save(buffer, name, **({"pnginfo": info} if name == "PNG" else {}))
    return buffer.getvalue()
