"""One streaming call over all its tries: sans-IO, the same for both clients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
from kandinsky_api.v1 import events_pb2

from kandinsky_client.assembly import Assembly
from kandinsky_client.errors import from_grpc
from kandinsky_client.events import EmbeddingReady, Event, ImageReady
from kandinsky_client.result_sets import Completed
from kandinsky_client.resumption import Resumption
from kandinsky_client.retry import Retry
from kandinsky_client.rpcs import Request


class Exchange:
    """What a stream's loop asks: which events a message makes, and whether to try again.

    Args:
        retry: The patience of this call.
        request: What is sent at each try; a try after the first may carry `options.resume`.
    """

    def __init__(self, retry: Retry, request: Request) -> None:
        self._retry = retry
        self._resumption = Resumption(request)
        self._assembly = Assembly()

    def timeout(self) -> float | None:
        """Returns the seconds left; None is no limit."""
        return self._retry.timeout()

    def receive(self, response: Any) -> list[Event]:
        """Returns the events that a message completes, but for results that have come before.

        Raises:
            IncompleteStreamError: Bytes of an image are missing.
        """
        message: events_pb2.Event = response.event
        if message.HasField("checkpoint"):
            self._resumption.checkpoint(message.checkpoint)
        return [event for event in self._assembly.receive(response) if self._is_new(event, message)]

    def _is_new(self, event: Event, message: events_pb2.Event) -> bool:
        if isinstance(event, EmbeddingReady):
            return self._resumption.embedding(message.embedding)
        if isinstance(event, ImageReady):
            result = event.result
            return self._resumption.image(result.index, result.receipt.stage, result.receipt.fingerprint)
        return True

    def finish(self) -> Completed:
        """Returns the last event of a stream that ended with OK, its counts over all tries.

        Raises:
            IncompleteStreamError: Less came than was sent.
        """
        completed = self._assembly.finish()
        embeddings, images = self._resumption.counts
        return replace(completed, embedding_count=embeddings, image_count=images)

    def delay_after(self, error: grpc.RpcError) -> float:
        """Returns the seconds to wait before the next try, or raises the typed error.

        The next try leaves out what was delivered, and goes on from the last checkpoints if the request asks for them.
        """
        typed = from_grpc(error)
        resumption = self._resumption
        self._assembly = Assembly(self._assembly.embeddings)
        if resumption.forget(typed):
            return 0.0
        if resumption.progressed:
            self._retry.begin_anew()
        delay = self._retry.delay_after(typed)
        resumption.write()
        return delay
