"""The contract's promises, on the wire: raw stubs, and HTTP/2 by hand where stubs hide what came."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer, StartingServer
from structlog.testing import capture_logs

from tests.support.patience import eventually
from tests.support.raw import WIDTH, Raw, connected, good_requests, only, pair, picture, sampling
from tests.support.wire import DATA, END_STREAM, HEADERS, Wire

MIB = 2**20
SAFE_SEED = 2**53 - 1
"""The largest that a JavaScript number holds exactly."""

PRIOR = "/kandinsky_api.v1.PriorService/Prior"
DECODE = "/kandinsky_api.v1.ImageService/Decode"


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


@pytest.fixture(scope="module")
def small(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Room for one trajectory; a prior alone, so that a stage is missing."""
    model = only(tmp_path_factory.mktemp("small"), tiny_model, "prior")
    with RunningServer(model, queue_size=1, default_share=1, prior_cache_size=0) as running:
        yield running


def stub(raw: Raw, method: str) -> Any:
    services = (raw.prior_service, raw.image_service, raw.server_service)
    return next(getattr(service, method) for service in services if hasattr(service, method))


@pytest.mark.parametrize("method", good_requests())
def test_queued_comes_once_and_first_and_completed_once_and_last(raw: Raw, method: str) -> None:
    request = good_requests()[method]
    request.sampling.image_count = 2
    request.sampling.seed = 4000 + len(method)
    estimate = raw.call("Estimate", server_pb2.EstimateRequest(**{method.lower(): request})).events[0]
    call = stub(raw, method)(request, metadata=[("x-request-id", f"promised-{method}")])
    assert dict(call.initial_metadata())["x-request-id"] == f"promised-{method}"
    events = [response.event for response in call]
    kinds = [event.WhichOneof("kind") for event in events]
    assert kinds[0] == "queued"
    assert kinds[-1] == "completed"
    assert (kinds.count("queued"), kinds.count("completed")) == (1, 1)
    queued, completed = events[0].queued, events[-1].completed
    assert queued.request_id == f"promised-{method}"
    assert queued.seed == completed.seed == request.sampling.seed
    assert queued.trajectory_count == estimate.trajectory_count
    assert dict(call.trailing_metadata())["x-request-id"] == f"promised-{method}"


@pytest.mark.parametrize("method", ["Prior", "Interpolate", "Generate"])
def test_embeddings_are_float32_of_one_dimension(raw: Raw, method: str) -> None:
    request = good_requests()[method]
    if method == "Interpolate":
        halves = np.full(WIDTH, 0.5, "<f2").tobytes()
        half = pb.Embedding(data=halves, dtype=pb.DTYPE_F16, shape=[1, WIDTH])
        request.conditions[1].embedding.CopyFrom(half)
    (result,) = raw.call(method, request).embeddings
    for embedding in (result.embeddings.positive, result.embeddings.negative):
        assert (embedding.dtype, list(embedding.shape)) == (pb.DTYPE_F32, [WIDTH])
        assert len(embedding.data) == WIDTH * 4
        assert embedding.prior_fingerprint == result.receipt.fingerprint


def large(**options: Any) -> image_pb2.DecodeRequest:
    """Two pictures of 3 MiB each."""
    request = image_pb2.DecodeRequest(
        embeddings=[pair(1), pair(2)],
        sampling=sampling(width_px=512, height_px=512, **options),
        output=pb.OutputOptions(format=pb.IMAGE_FORMAT_RAW_RGB_F32),
    )
    request.options.preview_interval_steps = 1
    return request


@pytest.mark.slow
def test_chunks_follow_their_image_and_each_other(raw: Raw) -> None:
    events = raw.call("Decode", large(step_count=2)).events
    images = [place for place, event in enumerate(events) if event.WhichOneof("kind") == "image"]
    assert len(images) == 2
    for place in images:
        header = events[place].image
        assert (header.size_bytes, header.chunk_count, header.data) == (512 * 512 * 12, 3, b"")
        chunks = [event.chunk for event in events[place + 1 : place + 4]]
        assert [chunk.index for chunk in chunks] == [header.index] * 3
        assert [chunk.offset_bytes for chunk in chunks] == [0, MIB, 2 * MIB]
        assert [len(chunk.data) for chunk in chunks] == [MIB] * 3
    assert sum(event.WhichOneof("kind") == "chunk" for event in events) == 6


@pytest.mark.slow
def test_no_message_is_larger_than_two_mebibytes(server: RunningServer) -> None:
    """A channel that takes no more reads everything."""
    with grpc.insecure_channel(server.target, [("grpc.max_receive_message_length", 2 * MIB)]) as channel:
        stubs = Raw(channel)
        assert stubs.call("Decode", large()).code == StatusCode.OK
        longest = prior_pb2.InterpolateRequest(
            conditions=[prior_pb2.Condition(text="\N{CAT}" * 2000)] * 16,
            weights=[prior_pb2.Weights(values=[1.0] * 16)],
            negative_prompt="\N{CAT}" * 2000,
            sampling=pb.PriorSampling(step_count=2),
        )
        answer = stubs.call("Interpolate", longest)
        assert answer.code == StatusCode.OK, answer
        assert max(event.ByteSize() for event in answer.events) > 100_000


def test_seeds_that_every_language_holds_come_back_whole(raw: Raw) -> None:
    for method, request in good_requests().items():
        request.sampling.seed = SAFE_SEED
        answer = raw.call(method, request)
        results = answer.images or answer.embeddings
        assert {result.receipt.seed for result in results} == {SAFE_SEED}, method
        assert answer.events[0].queued.seed == SAFE_SEED
    drawn = raw.call("Prior", prior_pb2.PriorRequest(prompts=["a"], sampling=pb.PriorSampling(step_count=2)))
    assert 0 <= drawn.events[0].queued.seed == drawn.embeddings[0].receipt.seed <= SAFE_SEED


def test_a_picture_is_varied_with_its_embedding_fixed(raw: Raw) -> None:
    request = good_requests()["Generate"]
    request.prior_sampling.seed = 5
    answers = []
    for seed in (1, 2):
        request.sampling.seed = seed
        answers.append(raw.call("Generate", request))
    first, second = ((answer.embeddings[0], answer.images[0]) for answer in answers)
    assert first[0].embeddings == second[0].embeddings
    assert first[1].data != second[1].data
    for (embedding, image), seed in ((first, 1), (second, 2)):
        assert (embedding.receipt.seed, image.receipt.seed) == (5, seed)
        assert image.receipt.prior_sampling == pb.PriorSampling(seed=5, step_count=2, guidance_scale=4)
    request.ClearField("prior_sampling")
    request.prior_sampling.step_count = 2
    assert raw.call("Generate", request).embeddings[0].receipt.seed == 2, "the images' seed unless it is set"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_receipts_have_digests_of_what_came_with_the_request(raw: Raw) -> None:
    image, mask = (pb.InputImage(data=picture(kind=kind)) for kind in ("PNG", "WEBP"))
    pairs = [pair(1), pair(2)]
    inpaint = image_pb2.InpaintRequest(embeddings=pairs, image=image, mask=mask, sampling=sampling())
    for result in raw.call("Inpaint", inpaint).images:
        source = result.source_index
        assert dict(result.receipt.input_digests) == {
            "image": sha256(image.data),
            "mask": sha256(mask.data),
            f"embeddings[{source}].positive": sha256(pairs[source].positive.data),
            f"embeddings[{source}].negative": sha256(pairs[source].negative.data),
        }
    mixture = good_requests()["Interpolate"]
    mixture.conditions.add(embedding=pairs[0].positive)
    mixture.weights[0].values.append(1)
    (mixed,) = raw.call("Interpolate", mixture).embeddings
    assert dict(mixed.receipt.input_digests) == {
        "conditions[1].image": sha256(mixture.conditions[1].image.data),
        "conditions[2].embedding": sha256(pairs[0].positive.data),
    }
    hinted = image_pb2.ControlNetRequest(
        embeddings=pairs[:1], hint=image, sampling=sampling(guidance_scale=1)
    )
    (followed,) = raw.call("ControlNet", hinted).images
    assert followed.receipt.input_digests["hint"] == sha256(image.data)


def test_of_generate_the_image_alone_is_made_from_the_picture(raw: Raw) -> None:
    request = good_requests()["Generate"]
    request.image.data, request.strength = picture(), 1
    answer = raw.call("Generate", request)
    assert not answer.embeddings[0].receipt.input_digests
    assert dict(answer.images[0].receipt.input_digests) == {"image": sha256(picture())}


# ------------------------------------------------------------------------------------------------ refusals


def shape(target: str, path: str, request: Any, **headers: str) -> list[tuple[int, bool]]:
    """The kinds of frames that answer a call, each with whether it ends the stream."""
    with Wire(target) as wire:
        wire.ask(1, path, request, **headers)
        answer = []
        for kind, flags, _ in wire.frames():
            if kind in (HEADERS, DATA):
                answer.append((kind, bool(flags & END_STREAM)))
            if answer and answer[-1][1]:
                return answer
    raise AssertionError(f"the connection ended after {answer}")


TRAILERS_ONLY = [(HEADERS, True)]
GOOD = good_requests()["Prior"]


def test_an_answer_has_headers_messages_and_trailers(server: RunningServer) -> None:
    """What the tests below tell a refusal by."""
    answer = shape(server.target, PRIOR, GOOD)
    assert (answer[0], answer[-1]) == ((HEADERS, False), (HEADERS, True))
    assert {kind for kind, _ in answer[1:-1]} == {DATA}


def test_what_is_wrong_with_a_request_is_told_in_trailers_alone(
    server: RunningServer, small: RunningServer
) -> None:
    assert shape(server.target, PRIOR, prior_pb2.PriorRequest()) == TRAILERS_ONLY
    bad_image = image_pb2.Img2ImgRequest(embeddings=[pair()], sampling=sampling(), strength=1)
    bad_image.image.data = b"no image"
    assert shape(server.target, "/kandinsky_api.v1.ImageService/Img2Img", bad_image) == TRAILERS_ONLY
    assert shape(small.target, DECODE, good_requests()["Decode"]) == TRAILERS_ONLY
    estimate = "/kandinsky_api.v1.ServerService/Estimate"
    assert shape(server.target, estimate, server_pb2.EstimateRequest()) == TRAILERS_ONLY


def test_a_full_queue_and_a_deadline_are_told_in_trailers_alone(small: RunningServer) -> None:
    with connected(small.target) as stubs:
        assert stubs.call("Prior", GOOD).code == StatusCode.OK  # a step has been measured
        endless = prior_pb2.PriorRequest(prompts=["a"], sampling=pb.PriorSampling(step_count=1000, seed=1))
        assert shape(small.target, PRIOR, endless, grpc_timeout="5m") == TRAILERS_ONLY
        refused = stubs.call("Prior", endless, timeout=0.005)
        assert refused.reason in ("DEADLINE_UNREACHABLE", "")  # "": its own clock was quicker
        running = stubs.prior_service.Prior(endless)
        assert next(running).event.HasField("queued")
        assert shape(small.target, PRIOR, GOOD) == TRAILERS_ONLY
        running.cancel()
    eventually(lambda: small.idle)


def test_starting_and_draining_are_told_in_trailers_alone(tiny_model: Path, tmp_path: Path) -> None:
    model = only(tmp_path / "model", tiny_model, "prior")
    with StartingServer(model) as starting:
        assert shape(starting.target, PRIOR, GOOD) == TRAILERS_ONLY
        starting.app.model.status = "loading prior"
        with connected(starting.target) as stubs:
            refused = stubs.call("Prior", GOOD)
            assert (refused.reason, refused.metadata) == ("STARTING", {"status": "loading prior"})
        starting.load()
        starting.app.admission.draining = True
        assert shape(starting.target, PRIOR, GOOD) == TRAILERS_ONLY


def test_strangers_are_told_in_trailers_alone(tiny_model: Path, tmp_path: Path) -> None:
    tokens, secret = tmp_path / "tokens.toml", "a-secret-of-the-tests"
    tokens.write_text(f'[reader]\ntoken = "{secret}"\nrpcs = ["Decode"]\n')
    tokens.chmod(0o600)
    model = only(tmp_path / "model", tiny_model, "prior")
    with StartingServer(model, tokens_file=tokens) as guarded:
        assert shape(guarded.target, PRIOR, GOOD) == TRAILERS_ONLY
        assert shape(guarded.target, PRIOR, GOOD, authorization=f"Bearer {secret}") == TRAILERS_ONLY


def test_every_refusal_says_whether_to_come_back(raw: Raw, small: RunningServer) -> None:
    assert raw.call("Prior", prior_pb2.PriorRequest()).pushback_ms == -1
    with connected(small.target) as stubs:
        assert stubs.call("Prior", GOOD).code == StatusCode.OK
        assert stubs.call("Decode", good_requests()["Decode"]).pushback_ms == -1
        running = stubs.prior_service.Prior(
            prior_pb2.PriorRequest(prompts=["a"], sampling=pb.PriorSampling(step_count=1000, seed=1))
        )
        assert next(running).event.HasField("queued")
        full = stubs.call("Prior", GOOD)
        assert (full.reason, full.metadata["queue_size"], full.metadata["trajectory_count"]) == (
            "QUEUE_FULL",
            "1",
            "1",
        )
        assert full.retry_seconds is not None
        assert full.pushback_ms == pytest.approx(full.retry_seconds * 1000, abs=1)
        running.cancel()
    eventually(lambda: small.idle)


RETRYING = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.01s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"],
            },
        }
    ]
}
"""A policy of gRPC's own, in any language; so eager that without the server's word it would be of no use."""


def test_grpcs_own_retries_wait_as_long_as_the_server_says(tiny_model: Path, tmp_path: Path) -> None:
    model = only(tmp_path / "model", tiny_model, "prior")
    options = [("grpc.service_config", json.dumps(RETRYING))]
    with StartingServer(model) as server, grpc.insecure_channel(server.target, options) as channel:
        stubs = Raw(channel)
        with ThreadPoolExecutor(1) as pool, capture_logs() as logs:
            answer = pool.submit(stubs.call, "Prior", GOOD)
            eventually(lambda: any(entry.get("reason") == "STARTING" for entry in logs))
            server.load()
            assert answer.result().code == StatusCode.OK
            stubs.call("Prior", prior_pb2.PriorRequest())
        codes = [entry["code"] for entry in logs if entry["event"] == "request"]
    assert set(codes[:-2]) == {"UNAVAILABLE"}
    assert codes[-2:] == ["OK", "INVALID_ARGUMENT"], "which is not tried again"
