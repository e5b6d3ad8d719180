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
from kandinsky_api.v1 import events_pb2, image_pb2, prior_pb2
from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.diffusion.prior import PriorSampling
from kandinsky_server.flows import events
from kandinsky_server.flows.requests import Floats, StreamOptions
from kandinsky_server.flows.session import Encoder
from kandinsky_server.images import codecs
from kandinsky_server.rpc.embeddings import write_pair
from kandinsky_server.rpc.options import Output
from kandinsky_server.rpc.resume import write_checkpoint

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
    """Makes messages of one response type, and the images in them; ``request_digest`` is for checkpoints."""

    kind: type[Response]
    output: Output
    stream_options: StreamOptions
    request_digest: str = ""

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
        return (self.kind(event=each) for each in self._events(event))

    def _events(self, event: events.Event) -> Iterator[events_pb2.Event]:
        match event:
            case events.ImageReady():
                yield from self._image(event)
            case events.Preview():
                yield events_pb2.Event(preview=self._preview(event))
            case events.EmbeddingReady():
                yield events_pb2.Event(embedding=embedding_result(event))
            case events.Progress():
                yield events_pb2.Event(progress=progress(event))
            case events.CheckpointMade():
                yield events_pb2.Event(checkpoint=write_checkpoint(event, self.request_digest))
            case events.Queued():
                yield events_pb2.Event(queued=queued(event))
            case events.Completed():
                yield events_pb2.Event(completed=completed(event))

    def _image(self, event: events.ImageReady) -> Iterator[events_pb2.Event]:
        data = event.picture.data
        inline = len(data) <= CHUNK_BYTES
        header = events_pb2.ImageResult(
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
        yield events_pb2.Event(image=header)
        if not inline:
            for offset in range(0, len(data), CHUNK_BYTES):
                part = data[offset : offset + CHUNK_BYTES]
                chunk = events_pb2.ImageChunk(index=event.index, offset_bytes=offset, data=part)
                yield events_pb2.Event(chunk=chunk)

    def _preview(self, event: events.Preview) -> events_pb2.Preview:
        return events_pb2.Preview(
            index=event.index,
            step=event.step,
            step_count=event.step_count,
            format=FORMATS[self.stream_options.preview_format],
            width_px=event.picture.width,
            height_px=event.picture.height,
            data=event.picture.data,
        )


def queued(event: events.Queued) -> events_pb2.Queued:
    """The beginning of a stream."""
    return events_pb2.Queued(
        position=event.position,
        predicted_start=duration(event.predicted_start),
        predicted_finish=duration(event.predicted_finish),
        request_id=event.request_id,
        seed=event.seed,
        trajectory_count=event.trajectory_count,
    )


def progress(event: events.Progress) -> events_pb2.Progress:
    """A trajectory at a step."""
    return events_pb2.Progress(
        stage=event.stage, index=event.index, step=event.step, step_count=event.step_count
    )


def embedding_result(event: events.EmbeddingReady) -> events_pb2.EmbeddingResult:
    """A finished pair, with its prior's fingerprint."""
    return events_pb2.EmbeddingResult(
        index=event.index,
        source_index=event.source_index,
        embeddings=write_pair(event.embeddings, event.receipt.fingerprint),
        receipt=write_receipt(event.receipt),
        truncated_texts=[
            events_pb2.TruncatedText(field=field, removed_text=text)
            for field, text in event.truncated.items()
        ],
        cached=event.cached,
    )


def completed(event: events.Completed) -> events_pb2.Completed:
    """The end of a stream."""
    return events_pb2.Completed(
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
        prior_sampling=write_prior_sampling(receipt.prior_sampling),
        negative_prior_prompt=receipt.negative_prior_prompt,
        condition_texts=receipt.condition_texts,
        input_digests=dict(receipt.input_digests),
    )


def write_prior_sampling(sampling: PriorSampling | None) -> pb.PriorSampling | None:
    """How the embedding of an image of Generate was sampled; None for other results."""
    if sampling is None:
        return None
    return pb.PriorSampling(
        seed=sampling.seed, step_count=sampling.step_count, guidance_scale=sampling.guidance_scale
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
