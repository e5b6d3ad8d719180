"""Between arrival and queue: who has no place has nothing decoded, and few have at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.images.decoders import PICTURES_AT_ONCE, Decoders
from kandinsky_server.testing.calls import ENDLESS
from kandinsky_server.testing.running import RunningServer

from tests.support.hostile import png_bomb
from tests.support.patience import eventually
from tests.support.raw import Raw, connected, good_requests, pair, picture, sampling
from tests.support.workers import still, tell

QUEUE_SIZE = 12
BROKEN = pb.InputImage(data=png_bomb(60_000, 60_000))


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    settings = {"queue_size": QUEUE_SIZE, "decode_seconds": 300, "default_share": 1}
    with RunningServer(tiny_model, **settings) as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs
        eventually(lambda: server.idle)


@pytest.fixture
def decoding(server: RunningServer) -> Iterator[Decoders]:
    """Pictures are decoded at the end of the test."""
    with still(server) as decoders:
        yield decoders


def img2img(image: pb.InputImage) -> image_pb2.Img2ImgRequest:
    return image_pb2.Img2ImgRequest(embeddings=[pair()], image=image, strength=1, sampling=sampling())


def sound() -> image_pb2.Img2ImgRequest:
    return img2img(pb.InputImage(data=picture()))


def mixture() -> prior_pb2.InterpolateRequest:
    """Of an embedding alone: there is nothing to denoise."""
    return prior_pb2.InterpolateRequest(
        conditions=[prior_pb2.Condition(embedding=pair().positive)], weights=[prior_pb2.Weights(values=[1])]
    )


@pytest.fixture
def full(raw: Raw) -> Iterator[Raw]:
    """All places but none are taken."""
    request = good_requests()["Decode"]
    request.sampling.step_count, request.sampling.image_count = ENDLESS, QUEUE_SIZE
    call = raw.image_service.Decode(request)
    assert next(call).event.WhichOneof("kind") == "queued"
    yield raw
    call.cancel()


def test_a_full_queue_has_nothing_decoded(full: Raw) -> None:
    answer = full.call("Img2Img", img2img(BROKEN))
    assert (answer.code, answer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert answer.retry_seconds


def test_a_full_queue_mixes_no_embeddings(full: Raw) -> None:
    answer = full.call("Interpolate", mixture())
    assert (answer.code, answer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")


def test_a_full_queue_still_gives_estimates(full: Raw) -> None:
    answer = full.call("Estimate", server_pb2.EstimateRequest(interpolate=mixture()))
    assert answer.events[0].queue_length == QUEUE_SIZE


def test_a_draining_server_has_nothing_decoded(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.app.admission, "draining", True)
    answer = raw.call("Img2Img", img2img(BROKEN))
    assert (answer.code, answer.reason) == (StatusCode.UNAVAILABLE, "DRAINING")


def test_a_refused_picture_gives_its_place_back(server: RunningServer, raw: Raw) -> None:
    assert raw.call("Img2Img", img2img(BROKEN)).reason == "INVALID_IMAGE"
    eventually(lambda: not server.app.admission.length)


def test_pictures_of_few_requests_are_decoded_at_once(
    server: RunningServer, raw: Raw, decoding: Decoders
) -> None:
    """Those who wait for that hold a place, and keep no one else's result from being encoded."""
    many = QUEUE_SIZE - 2
    calls = [raw.image_service.Img2Img(sound()) for _ in range(many)]
    eventually(lambda: server.app.admission.length == many and len(decoding.busy) == PICTURES_AT_ONCE)
    assert raw.call("Decode", good_requests()["Decode"], timeout=30).code == StatusCode.OK
    assert len(decoding.busy) == PICTURES_AT_ONCE
    for call in calls:
        call.cancel()


def test_waiting_for_pictures_ends_with_the_deadline_or_the_client(
    server: RunningServer, raw: Raw, decoding: Decoders
) -> None:
    calls = [raw.image_service.Img2Img(sound()) for _ in range(PICTURES_AT_ONCE)]
    eventually(lambda: len(decoding.busy) == PICTURES_AT_ONCE)
    given_up = raw.image_service.Img2Img(sound())
    eventually(lambda: server.app.admission.length == PICTURES_AT_ONCE + 1)
    given_up.cancel()
    assert raw.call("Img2Img", sound(), timeout=0.5).code == StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: server.app.admission.length == PICTURES_AT_ONCE)
    for call in calls:
        call.cancel()


def test_many_estimates_hold_up_no_request(raw: Raw, decoding: Decoders) -> None:
    estimate = server_pb2.EstimateRequest(img2img=sound())
    calls = [raw.server_service.Estimate.future(estimate) for _ in range(2 * PICTURES_AT_ONCE)]
    eventually(lambda: bool(decoding.busy))
    (busy,) = decoding.busy
    for worker in decoding.workers:
        if worker is not busy:
            tell(worker, signal.SIGCONT)
    assert raw.call("Img2Img", good_requests()["Img2Img"], timeout=30).code == StatusCode.OK
    assert decoding.busy == [busy]
    for call in calls:
        call.cancel()


def test_estimates_of_one_client_hold_up_no_other_clients(
    server: RunningServer, raw: Raw, decoding: Decoders
) -> None:
    """Without tokens a client is a connection. They take turns: the other one's comes after the first of the many."""
    estimate = server_pb2.EstimateRequest(img2img=sound())
    ended: list[str] = []

    def noted(client: str) -> Callable[[object], None]:
        return lambda _: ended.append(client)

    own = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.target, own) as other:
        calls = [raw.server_service.Estimate.future(estimate) for _ in range(6)]
        eventually(lambda: len(server.app.handlers.estimates.waiting) == 5)
        calls.append(Raw(other).server_service.Estimate.future(estimate))
        eventually(lambda: len(server.app.handlers.estimates.waiting) == 6)
        for number, call in enumerate(calls):
            call.add_done_callback(noted("one" if number < 6 else "other"))
        for worker in decoding.workers:
            tell(worker, signal.SIGCONT)
        eventually(lambda: len(ended) == 7)
    assert ended.index("other") <= 2
