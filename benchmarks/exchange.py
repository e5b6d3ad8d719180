"""One request on the wire and everything that came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from kandinsky_client.rpcs import STREAMS, Request, serialize

ANSWER_SECONDS = 600.0
"""A request that has no answer by then is lost; so long that a slow machine refuses none for want of time."""


@dataclass(frozen=True)
class Answer:
    """What a request got. ``heard`` is False when its client ended it, by its own clock or choice: nobody answered.

    ``events`` are ``Event`` messages.
    """

    rpc: str
    code: str
    heard: bool
    events: tuple[Any, ...]

    def __str__(self) -> str:
        kinds = Counter(event.WhichOneof("kind") for event in self.events)
        return f"{self.code} {'heard' if self.heard else 'not heard'} after {dict(kinds)}"

    @property
    def whole(self) -> bool:
        """Whether there is one final answer: an error, or a last event that completes a stream not completed before."""
        kinds = [event.WhichOneof("kind") for event in self.events]
        completed = kinds.count("completed")
        return completed == 0 if self.code != "OK" else completed == 1 and kinds[-1] == "completed"

    @property
    def floats(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """All embeddings and RAW_RGB_F32 images, end to end."""
        return np.frombuffer(b"".join(_results(self.events)), "<f4")


def ask(
    channel: grpc.Channel, request: Request, timeout: float = ANSWER_SECONDS, patience: int | None = None
) -> Answer:
    """Sends a request and reads to the end; gives it up after ``patience`` events."""
    rpc = STREAMS[type(request)]
    call = channel.unary_stream(rpc.path, serialize, rpc.parse)(request, timeout=timeout)
    events: list[Any] = []
    code, heard = "OK", True
    try:
        for response in call:
            events.append(response.event)
            if len(events) == patience:
                call.cancel()
    except grpc.RpcError as error:
        # Only what comes from the server has its metadata.
        code, heard = error.code().name, bool(error.trailing_metadata())
    return Answer(rpc.path.rpartition("/")[2], code, heard, tuple(events))


def _results(events: tuple[Any, ...]) -> Iterator[bytes]:
    for event in events:
        match event.WhichOneof("kind"):
            case "image":
                yield event.image.data
            case "chunk":
                yield event.chunk.data
            case "embedding":
                yield event.embedding.embeddings.positive.data
                yield event.embedding.embeddings.negative.data
