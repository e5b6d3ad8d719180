"""Calls that ask for checkpoints outlive their server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import numpy as np
import pytest
from kandinsky_api.v1 import image_pb2, image_pb2_grpc
from kandinsky_client import (
    AsyncKandinsky,
    Completed,
    Embedding,
    EmbeddingPair,
    ImageReady,
    Kandinsky,
    Progress,
)
from kandinsky_server.testing.running import RunningServer

from tests.client.fake_server import Failure
from tests.support.patience import eventually

STEPS, INTERVAL = 60, 5


@pytest.fixture
def replicas(tiny_model: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers; the client knows both, and calls the first as long as it is there."""
    with RunningServer(tiny_model) as first, RunningServer(tiny_model) as second:
        yield first, second


def both(replicas: tuple[RunningServer, RunningServer]) -> str:
    return "ipv4:" + ",".join(replica.target for replica in replicas)


def drain(server: RunningServer) -> None:
    asyncio.run_coroutine_threadsafe(server.lifecycle.drain(), server._loop).result(60)


@pytest.mark.slow
def test_a_stream_goes_on_elsewhere_when_its_server_drains(
    replicas: tuple[RunningServer, RunningServer],
) -> None:
    first, second = replicas
    request: dict[str, Any] = {
        "prompts": "a red cube",
        "seed": 5,
        "step_count": STEPS,
        "format": "raw_rgb_f32",
    }
    with second.client() as client:
        (whole,) = client.generate(**request)
    with Kandinsky(both(replicas)) as client:
        seen: list[int] = []
        helper = Thread(target=drain, args=(first,))
        for event in client.stream.generate(**request, checkpoint_interval_steps=INTERVAL):
            if isinstance(event, Progress) and event.stage == "decoder":
                seen.append(event.step)
                if event.step == 20:
                    helper.start()
            if isinstance(event, ImageReady):
                assert np.abs(event.result.array - whole.array).max() < 1e-3
                assert event.result.embedding is not None
                assert whole.embedding is not None
                assert event.result.embedding.positive == whole.embedding.positive
            if isinstance(event, Completed):
                assert (event.embedding_count, event.image_count) == (1, 1)
        helper.join()
    assert seen == sorted(set(seen))  # no step is seen twice: progress does not go back
    taken = [
        report for each in replicas for report in each.recorder.steps if report.lane.network == "decoder"
    ]
    assert sum(len(report.members) for report in taken) == 2 * STEPS  # of both calls: none was run twice


@pytest.mark.slow
async def test_a_gathering_call_goes_on_too(replicas: tuple[RunningServer, RunningServer]) -> None:
    first, second = replicas
    async with AsyncKandinsky(both(replicas)) as client:
        call = asyncio.create_task(
            client.generate(
                ["a red cube", "a blue ball"], seed=5, step_count=STEPS, checkpoint_interval_steps=INTERVAL
            )
        )
        await asyncio.to_thread(eventually, lambda: len(first.recorder.steps) >= 40)
        await asyncio.to_thread(drain, first)
        images = await call
    assert [image.index for image in images] == [0, 1]
    assert [each.index for each in images.embeddings] == [0, 1]
    assert second.recorder.steps


REFUSALS = {
    "another model": Failure(grpc.StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH"),
    "another dtype": Failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        violations=(("options.resume.checkpoints[0].dtype", "no"),),
    ),
}


class Picky(image_pb2_grpc.ImageServiceServicer):
    """Gives a checkpoint and breaks off; does not go on from any; serves from the start."""

    def __init__(self, refusal: Failure) -> None:
        self.resumed: list[bool] = []
        self.refusal = refusal

    def Decode(self, request: image_pb2.DecodeRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        self.resumed.append(request.options.HasField("resume"))
        response = image_pb2.DecodeResponse()
        if len(self.resumed) == 1:
            response.event.checkpoint.stage = "decoder"
            yield response
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        if self.resumed[-1]:
            self.refusal.abort(context)
        response.event.completed.seed = request.sampling.seed
        yield response


@pytest.mark.parametrize("why", REFUSALS)
def test_a_replica_that_cannot_go_on_begins_anew(why: str) -> None:
    # Abstract is the servicer of the types alone, not the one that runs.
    picky = Picky(REFUSALS[why])  # type: ignore[abstract]
    server = grpc.server(ThreadPoolExecutor(1))
    image_pb2_grpc.add_ImageServiceServicer_to_server(picky, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pair = EmbeddingPair(Embedding.from_array([1.0]))
    with Kandinsky(f"127.0.0.1:{port}", timeout=20) as client:
        client.decode(pair, seed=1, checkpoint_interval_steps=1)
    server.stop(0)
    assert picky.resumed == [False, True, False]
