"""GetServerInfo tells the truth: what it shows is what then happens. Estimate asks without running."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer
from PIL import Image

from tests.support.raw import WIDTH, Raw, connected, good_requests


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


@pytest.fixture(scope="module")
def info(raw: Raw) -> server_pb2.GetServerInfoResponse:
    return raw.server_service.GetServerInfo(server_pb2.GetServerInfoRequest())


def estimate(raw: Raw, **request: Any) -> server_pb2.EstimateResponse:
    answer = raw.call("Estimate", server_pb2.EstimateRequest(**request))
    assert answer.code == StatusCode.OK, answer
    estimated: server_pb2.EstimateResponse = answer.events[0]
    return estimated


def test_every_stage_is_described(info: server_pb2.GetServerInfoResponse) -> None:
    assert [stage.name for stage in info.stages] == ["prior", "decoder", "inpaint", "controlnet"]
    for stage in info.stages:
        assert stage.loaded
        assert (stage.backend, stage.dtype, stage.embedding_width) == ("eager", "fp32", WIDTH)
        assert stage.fingerprint
        assert stage.parameter_count > 1000
        assert stage.load_time.ToNanoseconds() > 0
        assert stage.max_batch_rows > 0
    prior, *decoders = info.stages
    assert (prior.scheduler, prior.token_count, prior.size_step_px) == ("UnCLIPScheduler", 77, 0)
    for stage in decoders:
        assert (stage.scheduler, stage.native_size_px, stage.size_step_px) == ("DDPMScheduler", 64, 64)
    assert len({stage.fingerprint for stage in info.stages}) == 4


def test_the_server_is_described(info: server_pb2.GetServerInfoResponse, server: RunningServer) -> None:
    assert info.device == "cpu"
    assert info.model == Path(str(server.settings.model)).name
    assert info.status == ""
    assert info.uptime.ToNanoseconds() > 0
    assert {"server", "torch", "diffusers", "transformers", "python"} <= info.versions.keys()
    eager = next(backend for backend in info.backends if backend.name == "eager")
    assert eager.available
    for backend in info.backends:
        assert backend.available or backend.reason


def test_results_name_the_stage_that_info_describes(raw: Raw, info: server_pb2.GetServerInfoResponse) -> None:
    stages = {stage.name: stage for stage in info.stages}
    receipts = [raw.call("Prior", good_requests()["Prior"]).embeddings[0].receipt]
    receipts += [
        raw.call(method, good_requests()[method]).images[0].receipt
        for method in ("Decode", "Inpaint", "ControlNet")
    ]
    assert [receipt.stage for receipt in receipts] == list(stages)
    for receipt in receipts:
        stage = stages[receipt.stage]
        assert (receipt.fingerprint, receipt.scheduler) == (stage.fingerprint, stage.scheduler)
        assert (receipt.backend, receipt.dtype) == (stage.backend, stage.dtype)
        assert receipt.versions == info.versions


def test_what_prior_does_unasked_is_what_the_defaults_say(
    raw: Raw, info: server_pb2.GetServerInfoResponse
) -> None:
    answer = raw.call("Prior", prior_pb2.PriorRequest(prompts=["a default"]))
    (result,) = answer.embeddings
    assert result.receipt.step_count == info.defaults.prior_step_count == 25
    assert result.receipt.guidance_scale == info.defaults.prior_guidance_scale
    assert answer.events[-1].completed.seed == result.receipt.seed


def test_what_decoders_do_unasked_is_what_the_defaults_say(
    raw: Raw, info: server_pb2.GetServerInfoResponse
) -> None:
    defaults, request = info.defaults, good_requests()["Img2Img"]
    request.sampling.ClearField("step_count")
    request.ClearField("strength")
    unasked = estimate(raw, img2img=request)
    assert unasked.step_count == int(defaults.step_count * defaults.strength) == 30
    request.sampling.step_count = 4
    (result,) = raw.call("Img2Img", request).images
    assert result.receipt.strength == defaults.strength
    assert result.receipt.guidance_scale == defaults.guidance_scale
    native = info.stages[1].native_size_px
    assert (result.width_px, result.height_px) == (native, native)
    assert result.format == pb.IMAGE_FORMAT_PNG


def test_the_default_quality_is_the_one_shown(raw: Raw, info: server_pb2.GetServerInfoResponse) -> None:
    request = good_requests()["Decode"]
    request.output.format = pb.IMAGE_FORMAT_JPEG
    unasked = raw.call("Decode", request).images[0].data
    request.output.quality = info.defaults.quality
    asked = raw.call("Decode", request).images[0].data
    request.output.quality = info.defaults.quality - 40
    assert unasked == asked
    assert len(raw.call("Decode", request).images[0].data) < len(asked)
    assert Image.open(io.BytesIO(asked)).format == "JPEG"


@pytest.mark.parametrize("method", good_requests())
def test_estimate_counts_the_work_that_the_request_then_is(raw: Raw, method: str) -> None:
    request = good_requests()[method]
    # A seed of its own: what the prior cache holds is no work.
    request.sampling.seed = 1000 + 10 * list(good_requests()).index(method)
    request.sampling.image_count = 2
    predicted = estimate(raw, **{method.lower(): request})
    answer = raw.call(method, request)
    assert answer.code == StatusCode.OK
    assert predicted.step_count == answer.events[-1].completed.step_count
    assert predicted.measured
    assert predicted.run_time.ToNanoseconds() > 0
    assert predicted.queue_length == 0


def test_estimate_checks_the_request_as_if_it_were_real(raw: Raw) -> None:
    request = good_requests()["Decode"]
    request.sampling.width_px = 1
    answer = raw.call("Estimate", server_pb2.EstimateRequest(decode=request))
    assert list(answer.violations) == ["sampling.width_px"]
