"""Limits: each is a flag, GetServerInfo shows it, what is at the limit passes and one more is refused by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer

from tests.support.raw import Raw, connected, good_requests, only, pair, picture, sampling

LIMITS = {
    "max_message_bytes": ("message_bytes", 200_000),
    "max_images": ("image_count", 2),
    "max_steps": ("step_count", 30),
    "max_pixels": ("pixel_count", 128 * 64),
    "max_prompt_length": ("prompt_length", 10),
    "max_input_pixels": ("input_pixel_count", 80 * 60),
    "max_prompts": ("prompt_count", 2),
    "queue_size": ("queue_size", 2),
}
"""Setting -> its name in the contract, and its value on this file's server."""


@pytest.fixture(scope="module")
def small(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    model = only(tmp_path_factory.mktemp("small"), tiny_model, "prior", "decoder")
    settings = {name: value for name, (_, value) in LIMITS.items()}
    with RunningServer(model, max_batch_rows=4, default_share=1, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def raw(small: RunningServer) -> Iterator[Raw]:
    with connected(small.target) as stubs:
        yield stubs


def prior(
    prompts: tuple[str, ...] = ("a cat",), negative: str = "", **options: Any
) -> prior_pb2.PriorRequest:
    sampling = pb.PriorSampling(**{"step_count": 2, "seed": 1, **options})
    return prior_pb2.PriorRequest(prompts=prompts, negative_prompt=negative, sampling=sampling)


def decode(pairs: int = 1, **options: Any) -> image_pb2.DecodeRequest:
    return image_pb2.DecodeRequest(embeddings=[pair()] * pairs, sampling=sampling(**options))


def img2img(width: int, height: int) -> image_pb2.Img2ImgRequest:
    image = pb.InputImage(data=picture(width, height))
    return image_pb2.Img2ImgRequest(embeddings=[pair()], image=image, strength=1, sampling=sampling())


AT_AND_OVER = {
    "image_count": ("Decode", decode(image_count=2), decode(image_count=3), "sampling.image_count"),
    "image_count_of_prior": ("Prior", prior(image_count=2), prior(image_count=3), "sampling.image_count"),
    "step_count": ("Prior", prior(step_count=30), prior(step_count=31), "sampling.step_count"),
    "pixel_count": ("Decode", decode(width_px=128), decode(width_px=192), "sampling.width_px"),
    "prompt_length": ("Prior", prior(("é" * 10,)), prior(("é" * 11,)), "prompts[0]"),
    "prompt_count": ("Prior", prior(("a", "b")), prior(("a", "b", "c")), "prompts"),
    "pair_count": ("Decode", decode(2), decode(3), "embeddings"),
    "input_pixel_count": ("Img2Img", img2img(80, 60), img2img(80, 61), "image"),
}


def test_server_info_shows_every_limit_as_it_was_set(raw: Raw) -> None:
    limits = raw.server_service.GetServerInfo(server_pb2.GetServerInfoRequest()).limits
    shown = {field.name: getattr(limits, field.name) for field in limits.DESCRIPTOR.fields}
    assert shown == dict(LIMITS.values())


@pytest.mark.parametrize("case", AT_AND_OVER)
def test_the_limit_itself_is_allowed_and_one_more_is_not(raw: Raw, case: str) -> None:
    method, at_limit, over, field = AT_AND_OVER[case]
    answer = raw.call(method, at_limit)
    assert answer.code == StatusCode.OK, answer
    refused = raw.call(method, over)
    assert refused.code == StatusCode.INVALID_ARGUMENT
    assert field in refused.violations


def test_a_message_over_the_limit_is_refused_before_it_is_read(raw: Raw) -> None:
    most = LIMITS["max_message_bytes"][1]
    request = prior(negative="x" * (most - 100))
    assert raw.call("Prior", request).code == StatusCode.INVALID_ARGUMENT
    request = prior(negative="x" * (most + 1))
    assert raw.call("Prior", request).code == StatusCode.RESOURCE_EXHAUSTED
    assert raw.call("Prior", prior()).code == StatusCode.OK


def test_a_full_queue_says_when_to_come_back(raw: Raw, small: RunningServer) -> None:
    """Two trajectories fit; they run until the test cancels them, so that nothing depends on time."""
    running = [raw.image_service.Decode(decode(step_count=30, image_count=1)) for _ in range(2)]
    held = threading.Event()
    stepped = small.app.model.networks["decoder"].call

    def slow(*inputs: Any) -> Any:
        held.wait(60)
        return stepped(*inputs)

    small.app.model.networks["decoder"].call = slow
    try:
        assert [next(iter(call)).event.WhichOneof("kind") for call in running] == ["queued", "queued"]
        answer = raw.call("Decode", decode())
        assert (answer.code, answer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert answer.retry_seconds is not None
        assert answer.retry_seconds > 0
        assert "2 of 2" in answer.message
    finally:
        small.app.model.networks["decoder"].call = stepped
        held.set()
    assert [list(call)[-1].event.WhichOneof("kind") for call in running] == ["completed", "completed"]
    assert raw.call("Decode", decode()).code == StatusCode.OK


def test_cancelling_makes_room_in_the_queue(raw: Raw) -> None:
    running = [raw.image_service.Decode(decode(step_count=30)) for _ in range(2)]
    assert {next(iter(call)).event.WhichOneof("kind") for call in running} == {"queued"}
    for call in running:
        call.cancel()
    answer = raw.call("Decode", decode())
    while answer.reason == "QUEUE_FULL":
        answer = raw.call("Decode", decode())
    assert answer.code == StatusCode.OK


def test_a_request_that_could_never_fit_the_queue_is_told_what_to_change(raw: Raw) -> None:
    """Two images of Generate are four trajectories, two of Interpolate's two texts too, and this queue holds two."""
    requests = good_requests()
    requests["Generate"].sampling.image_count, requests["Generate"].sampling.seed = 2, 99
    requests["Interpolate"].conditions[1].text = "a dog"
    requests["Interpolate"].sampling.MergeFrom(pb.PriorSampling(image_count=2, seed=99))
    for method in ("Generate", "Interpolate"):
        answer = raw.call(method, requests[method])
        assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert answer.retry_seconds is None
        assert "needs 4 places" in answer.violations["sampling.image_count"]
