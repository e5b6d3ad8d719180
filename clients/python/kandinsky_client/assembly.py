"""From response messages to events: sans-IO, the same for both clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from kandinsky_api.v1 import events_pb2

from kandinsky_client.errors import IncompleteStreamError
from kandinsky_client.events import EmbeddingReady, Event, ImageReady, Preview, Progress, Queued
from kandinsky_client.formats import format_of
from kandinsky_client.receipts import Receipt
from kandinsky_client.result_sets import Completed, EmbeddingSet, ImageSet
from kandinsky_client.results import EmbeddingResult, ImageResult


class Assembly:
    """Turns the messages of one stream into events, joins chunks, and checks that all of it came.

    Args:
        embeddings: What an earlier try of the same call delivered, by index.
    """

    def __init__(self, embeddings: Mapping[int, EmbeddingResult] = MappingProxyType({})) -> None:
        self.embeddings = dict(embeddings)
        """Those that have come, and those of earlier tries."""
        self._embedding_indices: set[int] = set()
        self._image_indices: set[int] = set()
        self._arriving: dict[int, tuple[events_pb2.ImageResult, bytearray]] = {}
        self._completed: Completed | None = None

    def receive(self, response: Any) -> Iterator[Event]:
        """Yields the events that one response message completes: none or one.

        `Completed` is held back until `finish`, when the status is known to be OK.

        Args:
            response: A PriorResponse, DecodeResponse or any other: all carry one `Event`.

        Raises:
            IncompleteStreamError: Bytes of an image are missing.
        """
        event: events_pb2.Event = response.event
        match event.WhichOneof("kind"):
            case "queued":
                yield Queued.from_message(event.queued)
            case "progress":
                yield Progress.from_message(event.progress)
            case "preview":
                yield Preview.from_message(event.preview)
            case "embedding":
                embedding = EmbeddingResult.from_message(event.embedding)
                self.embeddings[embedding.index] = embedding
                self._embedding_indices.add(embedding.index)
                yield EmbeddingReady(embedding)
            case "image":
                self._arriving[event.image.index] = event.image, bytearray(event.image.data)
                yield from self._arrived(event.image.index)
            case "chunk":
                self._append(event.chunk)
                yield from self._arrived(event.chunk.index)
            case "completed":
                self._completed = Completed.from_message(event.completed)
            case _:  # a kind of event that is newer than this client
                return

    def finish(self) -> Completed:
        """Returns the end of a stream that ended with status OK.

        Raises:
            IncompleteStreamError: It did not say `completed`, or less came than it says.
        """
        if self._completed is None:
            raise IncompleteStreamError("the stream ended without `completed`: results may be missing")
        came = (len(self._embedding_indices), len(self._image_indices))
        sent = (self._completed.embedding_count, self._completed.image_count)
        if came != sent or self._arriving:
            raise IncompleteStreamError(
                f"{sent[0]} embeddings and {sent[1]} images were sent, {came[0]} and {came[1]} arrived whole"
            )
        return self._completed

    def _append(self, chunk: events_pb2.ImageChunk) -> None:
        if chunk.index not in self._arriving:
            raise IncompleteStreamError(f"a chunk of image {chunk.index} came without its header")
        _, data = self._arriving[chunk.index]
        if chunk.offset_bytes != len(data):
            raise IncompleteStreamError(
                f"image {chunk.index} misses bytes: its next should be {len(data)}, not {chunk.offset_bytes}"
            )
        data += chunk.data

    def _arrived(self, index: int) -> Iterator[ImageReady]:
        header, data = self._arriving[index]
        if len(data) < header.size_bytes and header.chunk_count:
            return
        if len(data) != header.size_bytes:
            raise IncompleteStreamError(f"image {index} has {len(data)} bytes of {header.size_bytes}")
        del self._arriving[index]
        self._image_indices.add(index)
        made_here = self.embeddings.get(index)
        yield ImageReady(
            ImageResult(
                index=index,
                source_index=header.source_index,
                data=bytes(data),
                format=format_of(header.format),
                width_px=header.width_px,
                height_px=header.height_px,
                receipt=Receipt.from_message(header.receipt),
                embedding=made_here.embedding if made_here else None,
            )
        )


def embedding_set(events: list[Event]) -> EmbeddingSet:
    """Collects the embeddings of a whole stream, whose last event is `Completed`."""
    return EmbeddingSet([e.result for e in events if isinstance(e, EmbeddingReady)], _end(events))


def image_set(events: list[Event]) -> ImageSet:
    """Collects the images of a whole stream, whose last event is `Completed`."""
    return ImageSet(
        [e.result for e in events if isinstance(e, ImageReady)],
        _end(events),
        [e.result for e in events if isinstance(e, EmbeddingReady)],
    )


def _end(events: list[Event]) -> Completed:
    last = events[-1]
    assert isinstance(last, Completed)  # streams give it or raise
    return last
