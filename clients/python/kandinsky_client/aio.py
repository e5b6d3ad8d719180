"""The client for asyncio: `client.py` with `await`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, Self, Unpack

import grpc
import grpc.aio
from google.protobuf.message import Message

from kandinsky_client.assembly import embedding_set, image_set
from kandinsky_client.connection import CHANNEL_OPTIONS, DEFAULT_TARGET, ClientOptions, Connection
from kandinsky_client.errors import DeadlineExceededError, UnavailableError, from_grpc
from kandinsky_client.event_streams import AsyncEventStream
from kandinsky_client.exchange import Exchange
from kandinsky_client.methods import Methods, View
from kandinsky_client.options import CallOptions
from kandinsky_client.result_sets import EmbeddingSet, ImageSet
from kandinsky_client.retry import Retry
from kandinsky_client.rpcs import (
    ESTIMATE,
    HEALTH,
    INFO,
    INFO_REQUEST,
    STREAMS,
    EmbeddingRequest,
    ImageRequest,
    Request,
    Rpc,
    estimate_request,
    health_request,
    serialize,
)
from kandinsky_client.server_state import READY_INTERVAL_SECONDS, Estimate, Health, ServerInfo, health_of
from kandinsky_client.timeouts import check_timeout


class AsyncKandinsky(Methods[Coroutine[Any, Any, EmbeddingSet], Coroutine[Any, Any, ImageSet]]):
    """Calls a Kandinsky 2.2 server. Make it inside a running event loop.

    `close` it, or use it as a context manager.

    Args:
        target: The server's address, such as "localhost:50051" or "dns:///kandinsky.prod:443".
        options: See `kandinsky_client.ClientOptions`.

    Attributes:
        stream: The same calls as streams of events: `async for event in client.stream.decode(...)`.
        estimate: The same calls as questions what they would cost: `await client.estimate.decode(...)`.

    Pickled or copied it is a client of the same options with a connection of its own.

    Raises:
        ValueError: A timeout, token, certificate or other option that cannot be.
        OSError: A TLS file cannot be read.
    """

    stream: View[AsyncEventStream]
    estimate: View[Coroutine[Any, Any, Estimate]]

    def __init__(self, target: str = DEFAULT_TARGET, **options: Unpack[ClientOptions]) -> None:
        self._connection = Connection(target, **options)
        credentials = self._connection.credentials()
        self._channel = (
            grpc.aio.secure_channel(target, credentials, CHANNEL_OPTIONS)
            if credentials
            else grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
        )
        self.stream = View(self._open)
        self.estimate = View(self._estimate)

    async def info(self, **options: Unpack[CallOptions]) -> ServerInfo:
        """Returns the server's stages, limits, defaults and backends, as the contract's message."""
        info: ServerInfo = await self._ask(INFO, INFO_REQUEST, self._connection.retry(options), options)
        return info

    async def health(self, service: str = "", *, timeout: float | None = 5.0) -> Health:
        """Returns the health of the server, or of one service such as "kandinsky_api.v1.ImageService".

        Raises:
            UnavailableError: Nobody answered; there is no second try.
            ServerError: NOT_FOUND: no such service.
        """
        status = await self._ask(HEALTH, health_request(service), Retry(timeout, retries=0), {})
        return health_of(status.value)

    async def ready(self, *, timeout: float | None = 0.0) -> bool:
        """Waits up to `timeout` seconds for the server to be serving; returns whether it is.

        0 looks once; None, as infinity, waits for ever.
        """
        longest = check_timeout(timeout, zero=True)
        deadline = math.inf if longest is None else time.monotonic() + longest
        while True:
            try:
                if await self.health() == "serving":
                    return True
            except (UnavailableError, DeadlineExceededError):
                pass
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(READY_INTERVAL_SECONDS)

    async def close(self) -> None:
        """Cancels what still runs and closes the channel."""
        await self._channel.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **vars(self._connection)), ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def _embeddings(self, request: EmbeddingRequest, options: CallOptions) -> EmbeddingSet:
        self._connection.fill(request, progress_interval_steps=0)
        async with self._open(request, options) as events:
            return embedding_set([event async for event in events])

    async def _images(self, request: ImageRequest, options: CallOptions) -> ImageSet:
        self._connection.fill(request, progress_interval_steps=0)
        async with self._open(request, options) as events:
            return image_set([event async for event in events])

    def _open(self, request: Request, options: CallOptions) -> AsyncEventStream:
        self._connection.fill(request)
        rpc = STREAMS[type(request)]
        method = self._channel.unary_stream(rpc.path, serialize, rpc.parse)
        metadata = self._connection.call_metadata(options)
        return AsyncEventStream(
            Exchange(self._connection.retry(options), request),
            lambda timeout: method(request, timeout=timeout, metadata=metadata),
        )

    async def _estimate(self, request: Request, options: CallOptions) -> Estimate:
        self._connection.fill(request)
        retry = self._connection.retry(options)
        return Estimate.from_message(await self._ask(ESTIMATE, estimate_request(request), retry, options))

    async def _ask(self, rpc: Rpc, request: Message, retry: Retry, options: CallOptions) -> Any:
        method = self._channel.unary_unary(rpc.path, serialize, rpc.parse)
        metadata = self._connection.call_metadata(options)
        while True:
            try:
                return await method(request, timeout=retry.timeout(), metadata=metadata)
            except grpc.RpcError as error:
                delay = retry.delay_after(from_grpc(error))
            await asyncio.sleep(delay)
