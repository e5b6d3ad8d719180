"""An image that its format could not hold is refused before it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer

from tests.support.raw import Raw, connected, good_requests, sampling

TOO_LONG = {pb.IMAGE_FORMAT_JPEG: (65_536, "65500"), pb.IMAGE_FORMAT_WEBP: (16_384, "16383")}
LONGEST = {
    pb.IMAGE_FORMAT_JPEG: 65_472,
    pb.IMAGE_FORMAT_WEBP: 16_320,
    pb.IMAGE_FORMAT_PNG: 65_536,
    pb.IMAGE_FORMAT_RAW_RGB8: 65_536,
    pb.IMAGE_FORMAT_RAW_RGB_F32: 65_536,
    pb.IMAGE_FORMAT_UNSPECIFIED: 65_536,
}
IMAGE_RPCS = ("Decode", "Img2Img", "Inpaint", "ControlNet", "Generate")


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(tiny_model) as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


def request(rpc: str, kind: pb.ImageFormat.ValueType, width: int, height: int) -> Any:
    asked = good_requests()[rpc]
    asked.sampling.CopyFrom(sampling(width_px=width, height_px=height))
    asked.output.format = kind
    return asked


def estimate(rpc: str, asked: Any) -> server_pb2.EstimateRequest:
    return server_pb2.EstimateRequest(**{rpc.lower(): asked})


@pytest.mark.parametrize("kind", TOO_LONG)
@pytest.mark.parametrize("rpc", IMAGE_RPCS)
def test_an_image_that_its_format_cannot_hold_is_refused(
    server: RunningServer, raw: Raw, rpc: str, kind: pb.ImageFormat.ValueType
) -> None:
    side, limit = TOO_LONG[kind]
    steps = len(server.recorder.steps)
    for width, height in ((side, 64), (64, side)):
        asked = request(rpc, kind, width, height)
        # A server that takes it is at it for a minute.
        for answer in (raw.call(rpc, asked, timeout=30), raw.call("Estimate", estimate(rpc, asked))):
            assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"), answer
            assert f"at most {limit} pixels a side" in answer.violations["output.format"]
            assert f"{width}x{height}; ask for PNG" in answer.violations["output.format"]
    assert len(server.recorder.steps) == steps


@pytest.mark.parametrize("kind", LONGEST)
def test_what_a_format_can_hold_is_taken(raw: Raw, kind: pb.ImageFormat.ValueType) -> None:
    asked = request("Decode", kind, LONGEST[kind], 64)
    assert raw.call("Estimate", estimate("Decode", asked)).code == StatusCode.OK


def test_both_faults_of_an_output_are_told(raw: Raw) -> None:
    asked = request("Decode", pb.IMAGE_FORMAT_JPEG, 65_536, 64)
    asked.output.quality = 101
    assert set(raw.call("Decode", asked).violations) == {"output.format", "output.quality"}


@pytest.mark.slow
def test_a_long_image_has_previews(raw: Raw) -> None:
    """However thin: a preview is never less than a pixel wide."""
    asked = image_pb2.DecodeRequest(
        embeddings=good_requests()["Decode"].embeddings,
        sampling=sampling(width_px=4096, height_px=64, step_count=3, guidance_scale=1.0),
        options=pb.RequestOptions(preview_interval_steps=1, preview_max_px=16),
    )
    answer = raw.call("Decode", asked)
    assert answer.code == StatusCode.OK
    previews = [event.preview for event in answer.events if event.WhichOneof("kind") == "preview"]
    # A slow reader has fewer.
    assert {(preview.width_px, preview.height_px) for preview in previews} <= {(16, 1)}
