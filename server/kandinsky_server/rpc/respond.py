"""Events to response messages; images are cut into chunks when they are large."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Generic, TypeVar

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from kandinsky_api.v1 import image_pb2, prior_pb2
from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.diffusion import codecs
from kandinsky_server.flows import events
from kandinsky_server.flows.requests import Floats, Watch
from kandinsky_server.flows.session import Encoder
from kandinsky_server.rpc.embeddings import write_pair
from kandinsky_server.rpc.options import Output

CHUNK_BYTES = 1024 * 1024
"""Larger images are sent in pieces of this size."""

FORMATS = {
    "PNG": pb.IMAGE_FORMAT_PNG,
    "JPEG": pb.IMAGE_FORMAT_JPEG,
    "WEBP": pb.IMAGE_FORMAT_WEBP,
    "RAW_RGB8": pb.IMAGE_FORMAT_RAW_RGB8,
    "RAW_RGB_F32": pb.IMAGE_FORMAT_RAW_RGB_F32,
}

Response = TypeVar(
    "Response",
    prior_pb2.PriorResponse,
    prior_pb2.InterpolateResponse,
    image_pb2.DecodeResponse,
    image_pb2.Img2ImgResponse,
    image_pb2.InpaintResponse,
    image_pb2.ControlNetResponse,
    image_pb2.GenerateResponse,
)


@dataclass(frozen=True)
class Responder(Generic[Response]):
    """Makes messages of one response type, and the images in them."""

    kind: type[Response]
    output: Output
    watch: Watch

    @property
    def encoder(self) -> Encoder:
        """What the images of the request are encoded with."""
        return Encoder(self.output.kind, self._encode)

    def _encode(self, pixels: Floats, receipt: events.Receipt) -> bytes:
        text = None
        if self.output.embed_receipt:
            text = json_format.MessageToJson(write_receipt(receipt), indent=None)
        return codecs.encode_image(pixels, self.output.kind, self.output.quality, text)

    def messages(self, event: events.Event) -> Iterator[Response]:
        """One message, or an image's header and chunks."""
        match event:
            case events.ImageReady():
                yield from self._image(event)
            case events.Preview():
                yield self.kind(preview=self._preview(event))  # type: ignore[call-arg]
            case events.EmbeddingReady():
                yield self.kind(embedding=embedding_result(event))  # type: ignore[call-arg]
            case events.Progress():
                progress = pb.Progress(
                    stage=event.stage, index=event.index, step=event.step, step_count=event.step_count
                )
                yield self.kind(progress=progress)
            case events.Queued():
                queued = pb.Queued(
                    position=event.position,
                    predicted_start=duration(event.predicted_start),
                    predicted_finish=duration(event.predicted_finish),
                )
                yield self.kind(queued=queued)
            case events.Completed():
                yield self.kind(completed=completed(event))

    def _image(self, event: events.ImageReady) -> Iterator[Response]:
        data = event.picture.data
        inline = len(data) <= CHUNK_BYTES
        header = pb.ImageResult(
            index=event.index,
            source_index=event.source_index,
            format=FORMATS[self.output.kind],
            width_px=event.picture.width,
            height_px=event.picture.height,
            size_bytes=len(data),
            chunk_count=0 if inline else -(-len(data) // CHUNK_BYTES),
            data=data if inline else b"",
            receipt=write_receipt(event.receipt),
        )
        yield self.kind(image=header)  # type: ignore[call-arg]
        if not inline:
            for offset in range(0, len(data), CHUNK_BYTES):
                part = data[offset : offset + CHUNK_BYTES]
                chunk = pb.ImageChunk(index=event.index, offset_bytes=offset, data=part)
                yield self.kind(chunk=chunk)  # type: ignore[call-arg]

    def _preview(self, event: events.Preview) -> pb.Preview:
        return pb.Preview(
            index=event.index,
            step=event.step,
            step_count=event.step_count,
            format=FORMATS[self.watch.preview_format],
            width_px=event.picture.width,
            height_px=event.picture.height,
            data=event.picture.data,
        )


def embedding_result(event: events.EmbeddingReady) -> pb.EmbeddingResult:
    """A finished pair, with its prior's fingerprint."""
    return pb.EmbeddingResult(
        index=event.index,
        source_index=event.source_index,
        embeddings=write_pair(event.embeddings, event.receipt.fingerprint),
        receipt=write_receipt(event.receipt),
        truncated_texts=[
            pb.TruncatedText(field=field, removed_text=text) for field, text in event.truncated.items()
        ],
        cached=event.cached,
    )


def completed(event: events.Completed) -> pb.Completed:
    """The end of a stream."""
    return pb.Completed(
        embedding_count=event.embedding_count,
        image_count=event.image_count,
        step_count=event.step_count,
        seed=event.seed,
        timings=write_timings(event.timings),
        warnings=event.warnings,
    )


def write_receipt(receipt: events.Receipt) -> pb.Receipt:
    """The receipt with this server's versions."""
    return pb.Receipt(
        rpc=receipt.rpc,
        seed=receipt.seed,
        step_count=receipt.step_count,
        guidance_scale=receipt.guidance_scale,
        strength=receipt.strength,
        width_px=receipt.width,
        height_px=receipt.height,
        prompt=receipt.prompt,
        negative_prompt=receipt.negative_prompt,
        scheduler=receipt.scheduler,
        stage=receipt.stage,
        fingerprint=receipt.fingerprint,
        backend=receipt.backend,
        dtype=receipt.dtype,
        versions=versions(),
        timings=write_timings(receipt.timings),
        paste_original=receipt.paste_original,
        weights=receipt.weights,
        prior_step_count=receipt.prior_step_count,
        prior_guidance_scale=receipt.prior_guidance_scale,
        negative_prior_prompt=receipt.negative_prior_prompt,
        condition_texts=receipt.condition_texts,
    )


def write_timings(timings: events.Timings) -> pb.Timings:
    """Seconds to durations."""
    return pb.Timings(
        queued=duration(timings.queued),
        denoising=duration(timings.denoising),
        total=duration(timings.total),
    )


def duration(seconds: float) -> Duration:
    """Seconds, not below 0, as a Duration."""
    result = Duration()
    result.FromNanoseconds(max(0, round(seconds * 1e9)))
    return result


@cache
def versions() -> dict[str, str]:
    """Versions of what takes part in a result."""
    packages = {
        "server": "kandinsky-server",
        "torch": "torch",
        "diffusers": "diffusers",
        "transformers": "transformers",
    }
    return {
        "python": platform.python_version(),
        **{name: version(package) for name, package in packages.items()},
    }
