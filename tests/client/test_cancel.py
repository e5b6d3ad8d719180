"""Leaving a stream early tells the server."""

from __future__ import annotations

import asyncio
import threading

import grpc
import pytest
from kandinsky_client import AsyncKandinsky, CallCancelledError, Kandinsky

from tests.client.fake_server import Failure, FakeServer


def test_breaking_out_cancels(client: Kandinsky, server: FakeServer) -> None:
    server.endless = True
    for _event in client.stream.prior("x"):
        break
    assert server.cancelled.wait(5)


def test_leaving_the_block_cancels(client: Kandinsky, server: FakeServer) -> None:
    server.endless = True
    with client.stream.prior("x") as events:
        next(events)
    assert server.cancelled.wait(5)
    with pytest.raises(CallCancelledError):
        list(events)


def test_another_thread_may_close(client: Kandinsky, server: FakeServer) -> None:
    server.endless = True
    events = client.stream.prior("x")
    threading.Timer(0.2, events.close).start()
    with pytest.raises(CallCancelledError):
        for _event in events:
            pass
    assert server.cancelled.wait(5)


def test_closing_ends_the_wait_for_another_try(client: Kandinsky, server: FakeServer) -> None:
    server.failures.append(Failure(grpc.StatusCode.UNAVAILABLE, retry_seconds=0.9))
    events = client.stream.prior("x")
    threading.Timer(0.1, events.close).start()
    with pytest.raises(CallCancelledError):
        next(events)
    assert len(server.requests) == 1


def test_a_finished_stream_stays_finished(client: Kandinsky, server: FakeServer) -> None:
    with client.stream.prior("x") as events:
        assert list(events)
        assert list(events) == []
    assert not server.cancelled.is_set()


async def test_async_breaking_out_cancels(async_client: AsyncKandinsky, server: FakeServer) -> None:
    server.endless = True
    async for _event in async_client.stream.prior("x"):
        break
    assert await asyncio.to_thread(server.cancelled.wait, 5)


async def test_async_leaving_the_block_cancels(async_client: AsyncKandinsky, server: FakeServer) -> None:
    server.endless = True
    async with async_client.stream.prior("x") as events:
        await anext(events)
    assert await asyncio.to_thread(server.cancelled.wait, 5)


async def test_async_another_task_may_close(async_client: AsyncKandinsky, server: FakeServer) -> None:
    server.endless = True
    events = async_client.stream.prior("x")

    async def close_soon() -> None:
        await asyncio.sleep(0.2)
        await events.close()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(close_soon())
        with pytest.raises(CallCancelledError):
            async for _event in events:
                pass
    assert await asyncio.to_thread(server.cancelled.wait, 5)


async def test_cancelling_the_task_cancels_the_call(async_client: AsyncKandinsky, server: FakeServer) -> None:
    server.endless = True
    task = asyncio.create_task(async_client.prior("x"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.cancelled.wait, 5)
