"""A request that lost its server goes on elsewhere from its last checkpoint, and its result is the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing import tiny
from kandinsky_server.testing.running import RunningServer

from tests.support.raw import Answer, Raw, connected, good_requests, only, pair, rest, sampling

STEPS, INTERVAL = 10, 3
METHODS = tuple(good_requests())


@pytest.fixture(scope="module")
def one(tiny_model: Path) -> Iterator[Raw]:
    with RunningServer(tiny_model, prior_cache_size=0) as server, connected(server.target) as raw:
        yield raw


@pytest.fixture(scope="module")
def other(tiny_model: Path) -> Iterator[tuple[RunningServer, Raw]]:
    """A replica."""
    with RunningServer(tiny_model, prior_cache_size=0) as server, connected(server.target) as raw:
        yield server, raw


def asked(method: str, count: int = 1) -> Any:
    request = good_requests()[method]
    request.sampling.step_count = STEPS
    request.sampling.image_count = count
    if method == "Generate":
        request.prior_sampling.step_count = STEPS
    if hasattr(request, "output"):
        request.output.format = pb.IMAGE_FORMAT_RAW_RGB_F32
    request.options.checkpoint_interval_steps = INTERVAL
    return request


def results(answer: Answer) -> dict[tuple[str, int], bytes]:
    """The bytes of every image and embedding."""
    assert answer.code is StatusCode.OK, answer
    embeddings = {
        ("embedding", each.index): each.embeddings.SerializeToString(deterministic=True)
        for each in answer.embeddings
    }
    return embeddings | {("image", each.index): each.data for each in answer.images}


def checkpoints(answer: Answer) -> list[pb.Checkpoint]:
    return [event.checkpoint for event in answer.events if event.WhichOneof("kind") == "checkpoint"]


def steps_of(answer: Answer) -> int:
    """How many steps were run for it."""
    return int(answer.events[-1].completed.step_count)


def with_resume(request: Any, **parts: Any) -> Any:
    request.options.resume.CopyFrom(pb.Resume(**parts))
    return request


@pytest.mark.parametrize("method", METHODS)
def test_another_replica_goes_on_from_each_checkpoint_to_the_same_bits(
    one: Raw, other: tuple[RunningServer, Raw], method: str
) -> None:
    whole = one.call(method, asked(method))
    made = checkpoints(whole)
    # Each third of ten steps; and the end of an image's, whose pixels are yet to be made. A busy machine may skip some.
    ends = {STEPS} if whole.images else set()
    for stage in {"prior", "decoder"} if method == "Generate" else {made[0].stage}:
        steps = [each.step for each in made if each.stage == stage]
        assert steps
        assert steps == sorted(steps)
        assert set(steps) <= {3, 6, 9} | (ends if stage != "prior" else set())
    for checkpoint in made:
        delivered = (
            [pb.DeliveredEmbedding(index=0, embeddings=whole.embeddings[0].embeddings)]
            if method == "Generate" and checkpoint.stage != "prior"
            else []
        )
        request = with_resume(asked(method), checkpoints=[checkpoint], embeddings=delivered)
        resumed = other[1].call(method, request)
        missing = {("embedding", 0)} if delivered else set()
        assert results(resumed) == {key: each for key, each in results(whole).items() if key not in missing}
        after = STEPS if method == "Generate" and checkpoint.stage == "prior" else 0
        assert steps_of(resumed) == STEPS - checkpoint.step + after
        shown = [e.progress for e in resumed.events if e.WhichOneof("kind") == "progress"]
        assert all(p.step > checkpoint.step for p in shown if p.stage == checkpoint.stage)


def test_checkpoints_cost_no_result_anything(one: Raw) -> None:
    request = asked("Decode", count=2)
    request.options.ClearField("checkpoint_interval_steps")
    plain = one.call("Decode", request)
    assert not checkpoints(plain)
    assert results(plain) == results(one.call("Decode", asked("Decode", count=2)))


def test_what_was_delivered_is_not_made_again(other: tuple[RunningServer, Raw]) -> None:
    server, raw = other
    whole = raw.call("Generate", asked("Generate", count=3))
    delivered = [
        pb.DeliveredEmbedding(index=each.index, embeddings=each.embeddings) for each in whole.embeddings
    ]
    request = with_resume(asked("Generate", count=3), embeddings=delivered, image_indices=[0, 2])
    resumed = raw.call("Generate", request)
    (image,), made = resumed.images, whole.images
    assert image.index == 1
    assert image.receipt.input_digests == made[0].receipt.input_digests
    # The others were in the batch with it.
    expected = next(each.data for each in made if each.index == 1)
    assert np.abs(np.frombuffer(image.data, "<f4") - np.frombuffer(expected, "<f4")).max() < 1e-3
    assert steps_of(resumed) == STEPS
    before = len(server.recorder.steps)
    nothing = with_resume(asked("Generate", count=3), embeddings=delivered, image_indices=[0, 1, 2])
    answer = raw.call("Generate", nothing)
    assert (answer.code, answer.kinds) == (StatusCode.OK, ["queued", "completed"])
    assert len(server.recorder.steps) == before


def test_embeddings_that_were_delivered_are_not_sent_again(one: Raw) -> None:
    for method in ("Prior", "Interpolate"):
        whole = one.call(method, asked(method, count=2))
        delivered = [pb.DeliveredEmbedding(index=0, embeddings=whole.embeddings[0].embeddings)]
        resumed = one.call(method, with_resume(asked(method, count=2), embeddings=delivered))
        (embedding,) = resumed.embeddings
        assert embedding.index == 1
        values, expected = (
            np.frombuffer(each.embeddings.positive.data, "<f4") for each in (embedding, whole.embeddings[1])
        )
        assert np.abs(values - expected).max() < 1e-3


def test_the_seed_that_the_server_drew_is_told_and_goes_on(one: Raw) -> None:
    request = asked("Decode")
    request.sampling.ClearField("seed")
    whole = one.call("Decode", request)
    request.sampling.seed = whole.events[0].queued.seed
    resumed = one.call("Decode", with_resume(request, checkpoints=[checkpoints(whole)[0]]))
    assert results(resumed) == results(whole)


def changed(**fields: Any) -> Callable[[pb.Checkpoint], None]:
    def change(checkpoint: pb.Checkpoint) -> None:
        for name, value in fields.items():
            checkpoint.ClearField(name)  # type: ignore[arg-type]
            if name == "shape":
                checkpoint.shape.extend(value)
            else:
                setattr(checkpoint, name, value)

    return change


def cut(checkpoint: pb.Checkpoint) -> None:
    checkpoint.latents = checkpoint.latents[:-1]


def poisoned(checkpoint: pb.Checkpoint) -> None:
    checkpoint.latents = b"\x00\x00\xc0\x7f" + checkpoint.latents[4:]


HOSTILE: dict[str, tuple[Callable[[pb.Checkpoint], None], str, str]] = {
    "version": (changed(version=2), "version", "must be 1"),
    "digest": (changed(request_digest="0" * 64), "request_digest", "another request"),
    "no dtype": (changed(dtype=pb.DTYPE_UNSPECIFIED), "dtype", "must be DTYPE_F32"),
    "unknown dtype": (changed(dtype=77), "dtype", "must be DTYPE_F32"),
    "step 0": (changed(step=0), "step", "must be 1 to 10"),
    "step behind the end": (changed(step=11), "step", "must be 1 to 10"),
    "huge shape": (changed(shape=[2**31 - 1] * 4), "latents", "must have"),
    "no shape": (changed(shape=[]), "shape", "must be one to four"),
    "negative shape": (changed(shape=[-1, -4, 8, 8]), "shape", "must be one to four"),
    "many dimensions": (changed(shape=[1] * 1000), "shape", "must be one to four"),
    "cut": (cut, "latents", "bytes"),
    "NaN": (poisoned, "latents", "NaN"),
    "shape of another size": (changed(shape=[1, 8, 4, 8]), "shape", r"must be [1, 4, 8, 8]"),
    "other steps": (changed(step_count=20), "shape", "after some of 10 steps"),
}


@pytest.fixture(scope="module")
def checkpoint(one: Raw) -> pb.Checkpoint:
    return checkpoints(one.call("Decode", asked("Decode")))[0]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_checkpoint_that_is_none_is_refused_by_field(
    one: Raw, checkpoint: pb.Checkpoint, what: str
) -> None:
    change, field, words = HOSTILE[what]
    bad = pb.Checkpoint()
    bad.CopyFrom(checkpoint)
    change(bad)
    answer = one.call("Decode", with_resume(asked("Decode"), checkpoints=[bad]))
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"), answer
    (name,) = answer.violations
    assert name == f"options.resume.checkpoints[0].{field}"
    assert words in answer.violations[name]


def test_a_checkpoint_of_another_request_is_refused(one: Raw, checkpoint: pb.Checkpoint) -> None:
    request = asked("Decode")
    request.sampling.guidance_scale = 2.5
    answer = one.call("Decode", with_resume(request, checkpoints=[checkpoint]))
    assert "another request" in answer.violations["options.resume.checkpoints[0].request_digest"]
    assert "without options.resume" in answer.violations["options.resume.checkpoints[0].request_digest"]


def test_another_model_does_not_go_on_from_it(one: Raw, checkpoint: pb.Checkpoint) -> None:
    bad = pb.Checkpoint()
    bad.CopyFrom(checkpoint)
    bad.stage_fingerprint = "another"
    answer = one.call("Decode", with_resume(asked("Decode"), checkpoints=[bad]))
    assert (answer.code, answer.reason) == (StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH")


def test_what_another_model_began_is_not_finished(one: Raw) -> None:
    whole = one.call("Generate", asked("Generate", count=2))
    made_by = {
        stage: whole_result.receipt.fingerprint
        for stage, whole_result in (("prior", whole.embeddings[0]), ("decoder", whole.images[0]))
    }
    same = with_resume(asked("Generate", count=2), image_indices=[0], stage_fingerprints=made_by)
    assert [image.index for image in one.call("Generate", same).images] == [1]
    for stage in made_by:
        delivered = {**made_by, stage: "another", "unknown": "passed over"}
        request = with_resume(asked("Generate", count=2), image_indices=[0], stage_fingerprints=delivered)
        answer = one.call("Generate", request)
        assert (answer.code, answer.reason) == (StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH")
        assert answer.metadata["field"] == f"options.resume.stage_fingerprints['{stage}']"
    decode = with_resume(asked("Decode"), stage_fingerprints={"decoder": "another"})
    assert one.call("Decode", decode).reason == "FINGERPRINT_MISMATCH"


def test_what_is_not_needed_is_passed_over(one: Raw, checkpoint: pb.Checkpoint) -> None:
    spare = pb.Checkpoint()
    spare.CopyFrom(checkpoint)
    spare.index = 7
    answer = one.call("Decode", with_resume(asked("Decode"), checkpoints=[spare], image_indices=[9]))
    assert steps_of(answer) == STEPS


def test_too_many_parts_are_refused(one: Raw) -> None:
    answer = one.call("Decode", with_resume(asked("Decode"), image_indices=range(600)))
    assert answer.violations == {"options.resume.image_indices": "must hold 0 to 512, not 600"}


def test_noise_schedulers_that_need_more_than_latents_are_refused_by_name(tmp_path: Path) -> None:
    tiny.build(tmp_path / "tiny", decoder_scheduler="UniPCMultistepScheduler")
    with RunningServer(tmp_path / "tiny") as server, connected(server.target) as raw:
        answer = raw.call("Decode", asked("Decode"))
    assert "UniPCMultistepScheduler" in answer.violations["options.checkpoint_interval_steps"]


@pytest.mark.slow
def test_a_draining_server_hands_over_at_once_and_no_step_is_run_twice(
    tiny_model: Path, tmp_path: Path, other: tuple[RunningServer, Raw]
) -> None:
    whole_steps, count = 400, 3
    request = image_pb2.DecodeRequest(
        embeddings=[pair()], sampling=sampling(step_count=whole_steps, image_count=count)
    )
    request.output.format = pb.IMAGE_FORMAT_RAW_RGB_F32
    request.options.checkpoint_interval_steps = whole_steps
    model = only(tmp_path / "decoder", tiny_model, "decoder")
    with RunningServer(model, drain_seconds=60) as server, connected(server.target) as raw:
        call = raw.image_service.Decode(request)
        events = []
        for response in call:
            events.append(response.event)
            if response.event.WhichOneof("kind") == "progress" and response.event.progress.step >= 5:
                break
        began = time.monotonic()
        draining = asyncio.run_coroutine_threadsafe(server.lifecycle.drain(), server._loop)
        left = rest(call)
        draining.result(60)
        seconds = time.monotonic() - began
        steps = sum(len(report.members) for report in server.recorder.steps)
    assert (left.code, left.reason) == (StatusCode.UNAVAILABLE, "DRAINING")
    assert seconds < 2 + 1  # a second more for the last words of whoever does not read
    made = checkpoints(left)
    assert {each.index for each in made} == set(range(count))
    assert sum(each.step for each in made) == steps
    resumed = other[1].call("Decode", with_resume(request, checkpoints=made))
    assert steps_of(resumed) == whole_steps * count - steps
    request.options.ClearField("resume")
    assert results(resumed).keys() == results(other[1].call("Decode", request)).keys()


def test_a_draining_server_finishes_what_asked_for_no_checkpoints(tiny_model: Path, tmp_path: Path) -> None:
    model = only(tmp_path / "decoder", tiny_model, "decoder")
    with RunningServer(model, drain_seconds=60) as server, connected(server.target) as raw:
        call = raw.image_service.Decode(
            image_pb2.DecodeRequest(embeddings=[pair()], sampling=sampling(step_count=50))
        )
        assert next(iter(call)).event.WhichOneof("kind") == "queued"
        draining = asyncio.run_coroutine_threadsafe(server.lifecycle.drain(), server._loop)
        answer = rest(call)
        draining.result(60)
    assert answer.code is StatusCode.OK
