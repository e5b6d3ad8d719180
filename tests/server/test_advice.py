"""Whatever an error advises works when followed: the same field is not refused again, and soon nothing is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.rpc.fields import least_strength, nearest_size
from kandinsky_server.testing.running import RunningServer

from tests.server.test_malformed import fuzz, spoiled
from tests.support.patience import eventually
from tests.support.raw import Answer, Raw, connected, good_requests, pair, picture, rest, sampling

ROUNDS = 12
"""Fields first, then one embedding after the other, then pictures, then places in the queue."""

# More prompts than results, more steps than schedulers were trained with, room for few pixels and places.
ODD = {
    "max_prompts": 9,
    "max_images": 6,
    "max_steps": 1200,
    "max_pixels": 3 * 64 * 64,
    "max_prompt_length": 50,
    "max_input_pixels": 100 * 100,
    "queue_size": 3,
    "default_share": 1,
}


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(tiny_model, **ODD) as running:
        yield running


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


def split(part: str) -> tuple[str, str | None]:
    """The name and the place of "embeddings[0]"."""
    found = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", part)
    assert found
    return found[1], found[2]


class Place:
    """A field of a message by its path, such as "embeddings[0].positive.data"."""

    def __init__(self, message: Any, path: str) -> None:
        *parents, last = path.split(".")
        for part in parents:
            name, place = split(part)
            message = getattr(message, name)
            message = message[int(place)] if place else message
        self.message = message
        self.name, place = split(last)
        self.index = int(place) if place else None

    @property
    def value(self) -> Any:
        value = getattr(self.message, self.name)
        return value if self.index is None else value[self.index]

    def set(self, value: Any) -> None:
        if self.index is not None:
            getattr(self.message, self.name)[self.index] = value
        else:
            setattr(self.message, self.name, value)

    def clear(self) -> None:
        self.message.ClearField(self.name)


def in_range(place: Place, low: str, high: str) -> None:
    """Numbers go to an end of the range, and what is repeated gets so many."""
    descriptor = place.message.DESCRIPTOR.fields_by_name[place.name]
    if place.index is not None:  # a weight vector: the range is that of each value
        place.value.values[:] = [max(float(low), min(float(high), v or 0)) for v in place.value.values]
    elif descriptor.is_repeated:
        many(place, int(high) if len(place.value) > int(high) else int(low))
    elif descriptor.type == descriptor.TYPE_DOUBLE:
        place.set(float(high))
    else:
        place.set(int(high) if place.value > int(high) else int(low))


def many(place: Place, count: int) -> None:
    more = {
        "prompts": "a",
        "embeddings": pair(),
        "conditions": prior_pb2.Condition(text="a"),
        "weights": prior_pb2.Weights(),
    }
    del place.value[count:]
    while len(place.value) < count:
        place.value.append(more[place.name])


def embed_texts(place: Place) -> None:
    for condition in place.value:
        condition.embedding.CopyFrom(pair().positive)
    place.message.ClearField("negative_prompt")
    place.message.ClearField("negative_prior_prompt")


def good_picture(place: Place) -> None:
    place.value.CopyFrom(pb.InputImage(data=picture(64, 64)))


def good_embedding(place: Place) -> None:
    place.message.CopyFrom(pair().positive)


ADVICE: list[tuple[str, Callable[..., None]]] = [
    (r"; the nearest is (\d+)$", lambda place, near: place.set(int(near))),
    (r"must (?:be|hold) (?:above )?(-?[\d.e+]+) to (-?[\d.e+]+)\b", in_range),
    (r"raise it to at least ([\d.e-]+)$", lambda place, least: place.set(float(least))),
    (r"cannot take \d+ steps; take (\d+)$", lambda place, steps: place.set(int(steps))),
    (r"send 1 to (\d+) at once", lambda place, count: many(place, int(count))),
    (r"must have at most (\d+) characters", lambda place, length: place.set(place.value[: int(length)])),
    (r"make embeddings of the texts with Prior", embed_texts),
    (r"needs (image|mask|PNG)", lambda place, _: place.clear()),
    (r"must be (0|unset):", lambda place, _: place.clear()),
    (r"must be one of (\w+)", lambda place, _: place.clear()),
    (r"must be JPEG or WEBP", lambda place: place.set(pb.IMAGE_FORMAT_WEBP)),
    (
        r"must hold (\d+) weights",
        lambda place, count: place.value.values.__setitem__(slice(None), [1] * int(count)),
    ),
    (r"must be a text, an image or an embedding", lambda place: setattr(place.value, "text", "a")),
    (r"(hint or depth_from )?must be set$", lambda place, _: good_picture(place)),
    (r"none needs so many", lambda place: place.clear()),
    (r"request must be set", lambda place: place.value),
]
UNSEEN = (r"makes a sum too large", r"the request is not what the contract says")
"""What is not told before the work: the first by the sum itself."""


def follow(request: Any, answer: Answer) -> None:
    """Changes a request as its refusal says; sentences that no one knows how to follow fail the test."""
    for path, words in answer.violations.items():
        if path.startswith("options.resume"):
            request.options.ClearField("resume")
            continue
        place = Place(request, path)
        if answer.reason == "INVALID_IMAGE":
            good_picture(place)
        elif answer.reason == "INVALID_EMBEDDING" and "." in path:
            good_embedding(place) if place.name in ("dtype", "shape", "data") else place.value.CopyFrom(
                pair().positive
            )
        else:
            found = next((m, do) for pattern, do in ADVICE if (m := re.search(pattern, words)))
            found[1](place, *found[0].groups())


def outcome(raw: Raw, method: str, request: Any) -> Answer:
    """The refusal, or OK when the request is taken; nothing is waited for."""
    service = raw.prior_service if method in ("Prior", "Interpolate") else raw.image_service
    call = getattr(service, method)(request, timeout=36_000)  # no deadline that a slow machine could miss
    try:
        next(call)
    except grpc.RpcError:
        return rest(call)
    call.cancel()
    return Answer(StatusCode.OK)


def check_advice(server: RunningServer, raw: Raw, method: str, request: Any) -> None:
    told: set[str] = set()
    for _ in range(ROUNDS):
        eventually(lambda: server.idle)
        answer = outcome(raw, method, request)
        if answer.code == StatusCode.OK or answer.reason == "FINGERPRINT_MISMATCH":
            return
        assert answer.code == StatusCode.INVALID_ARGUMENT, answer
        if any(re.search(pattern, answer.message) for pattern in UNSEEN):
            return
        if "call Prior, and then" in answer.message:
            return
        again = told & set(answer.violations) if answer.reason == "INVALID_FIELD" else set()
        assert not again, f"{again} refused again: {answer.message}\n{str(request)[:2000]}"
        told |= set(answer.violations)
        follow(request, answer)
    raise AssertionError(f"still refused: {answer.message}\n{str(request)[:2000]}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("method", good_requests())
def test_advice_is_accepted(server: RunningServer, raw: Raw, method: str) -> None:
    @settings(fuzz, max_examples=max(60, fuzz.max_examples))
    @given(spoiled(method))
    def storm(request: Any) -> None:
        check_advice(server, raw, method, request)

    storm()


BIG = 2**31 - 1
CASES: dict[str, tuple[str, Any]] = {
    "strength of 3 steps": ("Img2Img", {"strength": 0.1, "sampling": {"step_count": 3}}),
    "strength of 7 steps": ("Img2Img", {"strength": 0.01, "sampling": {"step_count": 7}}),
    "default strength of one step": ("Img2Img", {"sampling": {"step_count": 1}}),
    "strength and no steps": ("Img2Img", {"strength": 0.2, "sampling": {"step_count": 0}}),
    "prior of one step": ("Prior", {"sampling": {"step_count": 1}}),
    "prior of no steps": ("Prior", {"sampling": {"step_count": 0}}),
    "generate of one prior step": ("Generate", {"prior_sampling": {"step_count": -1}}),
    "more steps than trained": ("Decode", {"sampling": {"step_count": 1100}}),
    "more steps than allowed": ("Decode", {"sampling": {"step_count": BIG}}),
    "wide": ("Decode", {"sampling": {"width_px": BIG, "height_px": 128}}),
    "wide and off the step": ("Decode", {"sampling": {"width_px": 1000, "height_px": 130}}),
    "large": ("Decode", {"sampling": {"width_px": 4096, "height_px": 4096}}),
    "a little too large": ("Decode", {"sampling": {"width_px": 128, "height_px": 128}}),
    "a size of nothing": ("Decode", {"sampling": {"width_px": -BIG, "height_px": 0}}),
    "seed and count": ("Decode", {"sampling": {"seed": 2**63 - 1, "image_count": 99}}),
    "seed below": ("Prior", {"sampling": {"seed": -(2**63)}}),
    "more prompts than results": ("Prior", {"prompts": ["a"] * 8}),
    "more prompts than allowed": ("Generate", {"prompts": ["a"] * 20}),
    "more places than there are": ("Prior", {"prompts": ["a"] * 5}),
    "more places by count": ("Decode", {"sampling": {"image_count": 5}}),
    "more places by both": ("Prior", {"prompts": ["a"] * 2, "sampling": {"image_count": 3}}),
    "a count of the prior's own": ("Generate", {"prior_sampling": {"image_count": 1}}),
    "a seed of the prior's own": ("Generate", {"prior_sampling": {"seed": -1}}),
    "two places an image": ("Generate", {"sampling": {"image_count": 3}}),
    "two places a prompt": ("Generate", {"prompts": ["a"] * 3}),
    "texts to mix": (
        "Interpolate",
        {"conditions": [{"text": t} for t in "abcd"], "weights": [{"values": [1, 1, 1, 1]}]},
    ),
    "texts to mix, negative": (
        "Interpolate",
        {
            "conditions": [{"text": t} for t in "abc"],
            "weights": [{"values": [1, 1, 1]}],
            "negative_prompt": "d",
            "sampling": {"image_count": 2},
        },
    ),
    "no weights": ("Interpolate", {"conditions": [{"text": "a"}]}),
    "a path too long": ("Interpolate", {"conditions": [{"text": "a"}], "weights": [{"values": [1]}] * 9}),
    "preview of an embedding": ("Prior", {"options": {"preview_interval_steps": 3}}),
    "strength without image": ("Prior", {"strength": 0.5}),
    "receipt in a JPEG": ("Decode", {"output": {"format": pb.IMAGE_FORMAT_JPEG, "embed_receipt": True}}),
}
REQUESTS = {
    "Prior": prior_pb2.PriorRequest,
    "Interpolate": prior_pb2.InterpolateRequest,
    "Decode": image_pb2.DecodeRequest,
    "Img2Img": image_pb2.Img2ImgRequest,
    "Generate": image_pb2.GenerateRequest,
}


def built(method: str, fields: dict[str, Any]) -> Any:
    needed: dict[str, Any] = {"prompts": ["a"]} if method in ("Prior", "Generate") else {}
    if method in ("Decode", "Img2Img"):
        needed = {"embeddings": [pair()]}
    if method == "Img2Img":
        needed["image"] = pb.InputImage(data=picture())
    return REQUESTS[method](**{**needed, **fields})


@pytest.mark.parametrize("case", CASES)
def test_known_traps_are_none(server: RunningServer, raw: Raw, case: str) -> None:
    method, fields = CASES[case]
    check_advice(server, raw, method, built(method, fields))


def test_a_deadline_that_is_advised_is_enough(server: RunningServer, raw: Raw) -> None:
    request = image_pb2.DecodeRequest(embeddings=[pair()], sampling=sampling(step_count=1000, image_count=3))
    eventually(lambda: server.idle)
    refused = raw.call("Decode", request, timeout=0.5)
    assert refused.reason == "DEADLINE_UNREACHABLE", refused
    advised = re.search(r"allow at least the ([\d.]+) s", refused.message)
    assert advised, refused.message
    call = raw.image_service.Decode(request, timeout=float(advised[1]))
    assert next(call).event.WhichOneof("kind") == "queued"
    call.cancel()


@pytest.mark.slow
def test_a_single_place_takes_what_prior_returns(tiny_model: Path) -> None:
    with RunningServer(tiny_model, queue_size=1) as small, connected(small.target) as raw:
        refused = raw.call("Generate", good_requests()["Generate"])
        assert "call Prior, and then an RPC that takes its embeddings" in refused.violations["prompts"]
        made = raw.call("Prior", good_requests()["Prior"]).embeddings[0].embeddings
        request = image_pb2.DecodeRequest(embeddings=[made], sampling=sampling())
        assert raw.call("Decode", request).code == StatusCode.OK


def test_estimates_advise_alike(raw: Raw) -> None:
    request = server_pb2.EstimateRequest(decode=built("Decode", {"sampling": {"width_px": 1000}}))
    answer = raw.call("Estimate", request)
    request.decode.sampling.width_px = int(answer.violations["sampling.width_px"].rpartition(" ")[2])
    assert raw.call("Estimate", request).code == StatusCode.OK


@pytest.mark.parametrize("range_", [range(1, 3000), range(10**5, 10**5 + 500), [2**31 - 1]])
def test_the_least_strength_leaves_a_step(range_: Any) -> None:
    for steps in range_:
        advised = float(f"{least_strength(steps):g}")
        assert int(steps * advised) >= 1, steps
        assert advised <= 1
        assert advised < 1 / steps + 0.0011


@given(
    st.integers(-BIG, BIG) | st.integers(0, 5000),
    st.integers(-BIG, BIG) | st.integers(0, 5000),
    st.sampled_from([8, 64]),
    st.integers(64 * 64, 2**24),
)
def test_the_nearest_size_fits(width: int, height: int, step: int, pixel_count: int) -> None:
    near = nearest_size(width, height, step, pixel_count)
    assert near[0] * near[1] <= pixel_count
    assert all(side >= step and side % step == 0 for side in near)
    assert nearest_size(*near, step, pixel_count) == near
    if min(width, height) >= step and width * height <= pixel_count and not (width % step or height % step):
        assert near == (width, height)


def test_a_picture_within_the_limits_that_are_told_is_taken(raw: Raw) -> None:
    request = good_requests()["Img2Img"]
    request.image.data = picture(101, 100)
    (words,) = raw.call("Img2Img", request).violations.values()
    (most,) = re.findall(r"may have (\d+) in all", words)
    side = int(int(most) ** 0.5)
    request.image.data = picture(side, side)
    assert raw.call("Img2Img", request).code == StatusCode.OK
