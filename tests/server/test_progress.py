"""What a client sees on the way: progress as often, and previews as many, as it asked for."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from kandinsky_api.v1 import image_pb2, image_pb2_grpc, server_pb2, server_pb2_grpc, types_pb2
from kandinsky_client import Completed, EmbeddingPair, ImageReady, Kandinsky, Preview, Progress, Queued
from kandinsky_server.engine.work import Shown
from kandinsky_server.families.stages import MOVQ_DECODER
from kandinsky_server.testing.oracle import oracle
from kandinsky_server.testing.pipelines import Variant, pair_of, sendable
from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually


@pytest.fixture(scope="module")
def pair(tiny_model: Path) -> EmbeddingPair:
    return sendable(pair_of(oracle(tiny_model), Variant()))[0]


def test_events_come_in_order(client: Kandinsky, pair: EmbeddingPair) -> None:
    events = list(client.stream.decode(pair, step_count=5))
    assert isinstance(events[0], Queued)
    assert isinstance(events[-2], ImageReady)
    assert isinstance(events[-1], Completed)
    steps = [event.step for event in events[1:-2] if isinstance(event, Progress)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 5


@pytest.mark.parametrize("interval", [1, 7])
def test_progress_keeps_the_interval(client: Kandinsky, pair: EmbeddingPair, interval: int) -> None:
    events = client.stream.decode(pair, step_count=30, progress_interval_steps=interval)
    seen = [event for event in events if isinstance(event, Progress)]
    assert {(event.stage, event.index, event.step_count) for event in seen} == {("decoder", 0, 30)}
    steps = [event.step for event in seen]
    assert len(steps) >= 2
    assert steps[-1] == 30
    gaps = [later - earlier for earlier, later in pairwise(steps)]
    assert all(gap >= interval for gap in gaps[:-1])


def test_interval_zero_is_no_progress(client: Kandinsky, pair: EmbeddingPair) -> None:
    events = client.stream.decode(pair, step_count=5, progress_interval_steps=0)
    assert not [event for event in events if isinstance(event, Progress)]


def test_each_result_has_its_own_progress(client: Kandinsky) -> None:
    options: dict[str, Any] = {"prior_step_count": 3, "step_count": 4, "image_count": 2, "seed": 77}
    seen = [event for event in client.stream.generate("a cat", **options) if isinstance(event, Progress)]
    ends = {(event.stage, event.index) for event in seen if event.step == event.step_count}
    assert ends == {(stage, index) for stage in ("prior", "decoder") for index in (0, 1)}


def test_previews_keep_the_cadence_and_the_size(client: Kandinsky, pair: EmbeddingPair) -> None:
    options: dict[str, Any] = {
        "width_px": 128,
        "height_px": 64,
        "preview_interval_steps": 5,
        "preview_max_px": 32,
    }
    events = list(client.stream.decode(pair, step_count=60, **options))
    previews = [event for event in events if isinstance(event, Preview)]
    steps = [preview.step for preview in previews]
    assert steps
    assert steps == sorted(set(steps))
    assert all(step % 5 == 0 and step < 60 for step in steps)
    assert {(preview.image.format, preview.image.size) for preview in previews} == {("JPEG", (32, 16))}
    assert isinstance(events[-2], ImageReady)


def test_previews_come_in_the_format_asked_for(client: Kandinsky, pair: EmbeddingPair) -> None:
    options: dict[str, Any] = {"step_count": 20, "preview_interval_steps": 4, "preview_format": "webp"}
    previews = [event for event in client.stream.decode(pair, **options) if isinstance(event, Preview)]
    assert {preview.image.format for preview in previews} == {"WEBP"}


def test_no_previews_unless_asked_for(client: Kandinsky, pair: EmbeddingPair) -> None:
    events = client.stream.decode(pair, step_count=20)
    assert not [event for event in events if isinstance(event, Preview)]


@pytest.mark.parametrize(("interval", "previews"), [(1, 15), (7, 4), (30, 0)])
def test_previews_are_priced(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, interval: int, previews: int
) -> None:
    """Each as MoVQ's decoding of a picture; of two steps running only one is shown."""
    client.decode(pair, step_count=2)

    def seconds(interval: int) -> float:
        options = types_pb2.RequestOptions(preview_interval_steps=interval)
        sampling = image_pb2.Sampling(step_count=30, guidance_scale=4.0)
        asked = image_pb2.DecodeRequest(embeddings=[pair.to_message()], sampling=sampling, options=options)
        with grpc.insecure_channel(server.target) as channel:
            stub = server_pb2_grpc.ServerServiceStub(channel)
            return stub.Estimate(server_pb2.EstimateRequest(decode=asked)).run_time.ToNanoseconds() / 1e9

    stage = server.app.model.decoders["decoder"]
    decoding = server.app.model.cost.step_seconds(
        stage.key(MOVQ_DECODER, stage.native_size, stage.native_size), 1
    )
    eventually(lambda: server.idle)
    assert seconds(interval) - seconds(0) == pytest.approx(previews * decoding, rel=0.01, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("interval", [1, 7])
def test_the_price_is_that_of_the_previews_that_are_made(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, interval: int
) -> None:
    """More than are made of quick steps, never fewer."""
    eventually(lambda: server.idle)
    before = len(server.recorder.steps)
    client.decode(pair, step_count=60, preview_interval_steps=interval)
    taken = [report for report in server.recorder.steps[before:] if report.lane.network == "movq_decoder"]
    made = len(taken) - 1
    assert 1 <= made <= Shown(taken[0].lane, interval).count(60)


def previews_read_late(server: RunningServer, pair: EmbeddingPair) -> int:
    """Previews of 10 images, 39 of each, that reach a reader who begins when all is done.

    The channel takes in no more than it must: otherwise the transport reads on its own.
    """
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024)]
    request = image_pb2.DecodeRequest(
        embeddings=[pair.to_message()],
        sampling=image_pb2.Sampling(seed=1, step_count=40, guidance_scale=1.0, image_count=10),
        options=types_pb2.RequestOptions(preview_interval_steps=1, progress_interval_steps=0),
    )
    with grpc.insecure_channel(server.target, options) as channel:
        responses = image_pb2_grpc.ImageServiceStub(channel).Decode(request)
        assert next(responses).event.HasField("queued")
        while server.app.engine.active:
            time.sleep(0.05)
        kinds = [response.event.WhichOneof("kind") for response in responses]
    assert kinds.count("image") == 10
    return kinds.count("preview")


@pytest.mark.slow
def test_a_slow_reader_misses_previews_and_delays_no_one(server: RunningServer, pair: EmbeddingPair) -> None:
    assert 0 < previews_read_late(server, pair) < 10 * 39
