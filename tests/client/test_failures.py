"""Statuses become typed errors; what may be tried again is, once or within the timeout."""

from __future__ import annotations

import time

import grpc
import pytest
from kandinsky_client import (
    AsyncKandinsky,
    AuthenticationError,
    AuthorizationError,
    CallCancelledError,
    DeadlineExceededError,
    DeadlineUnreachableError,
    FieldViolation,
    FingerprintMismatchError,
    IncompleteStreamError,
    InvalidRequestError,
    Kandinsky,
    OverloadedError,
    PreconditionError,
    Queued,
    RpcError,
    ServerError,
    StageNotLoadedError,
    UnavailableError,
)

from tests.client.fake_server import REQUEST_ID, Failure, FakeServer

Code = grpc.StatusCode
UNREACHABLE = Failure(Code.RESOURCE_EXHAUSTED, "DEADLINE_UNREACHABLE", retry_seconds=0)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure(Code.INVALID_ARGUMENT, "INVALID_IMAGE"), InvalidRequestError),
        (Failure(Code.FAILED_PRECONDITION), PreconditionError),
        (Failure(Code.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH"), FingerprintMismatchError),
        (Failure(Code.FAILED_PRECONDITION, "STAGE_NOT_LOADED"), StageNotLoadedError),
        (Failure(Code.RESOURCE_EXHAUSTED), OverloadedError),
        (UNREACHABLE, DeadlineUnreachableError),
        (Failure(Code.DEADLINE_EXCEEDED), DeadlineExceededError),
        (Failure(Code.CANCELLED), CallCancelledError),
        (Failure(Code.UNAUTHENTICATED), AuthenticationError),
        (Failure(Code.PERMISSION_DENIED), AuthorizationError),
        (Failure(Code.INTERNAL, "NON_FINITE"), ServerError),
        (Failure(Code.UNIMPLEMENTED), ServerError),
    ],
    ids=lambda value: value.reason or value.code.name if isinstance(value, Failure) else "",
)
def test_a_status_becomes_its_error_at_once(
    client: Kandinsky, server: FakeServer, failure: Failure, kind: type[RpcError]
) -> None:
    for call in (lambda: client.prior("x"), client.info):
        server.failures.append(failure)
        with pytest.raises(kind) as caught:
            call()
        assert type(caught.value) is kind
        assert caught.value.code is failure.code
        assert caught.value.reason == failure.reason
        assert caught.value.request_id == REQUEST_ID
    assert len(server.requests) == 2


def test_an_error_says_which_fields_to_change(client: Kandinsky, server: FakeServer) -> None:
    violation = ("sampling.step_count", "must be 1 to 1000, not 0")
    failure = Failure(
        Code.INVALID_ARGUMENT, "INVALID_FIELD", "step_count is out of range", None, (violation,)
    )
    server.failures.append(failure)
    with pytest.raises(InvalidRequestError) as caught:
        client.prior("x")
    assert caught.value.field_violations == (FieldViolation(*violation),)
    assert str(caught.value) == (
        "INVALID_ARGUMENT (INVALID_FIELD): step_count is out of range"
        " | sampling.step_count: must be 1 to 1000, not 0 | request request-1"
    )


def test_a_full_queue_is_tried_again_as_advised(client: Kandinsky, server: FakeServer) -> None:
    server.failures.extend([Failure(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry_seconds=0.2)] * 2)
    start = time.monotonic()
    assert len(client.prior("x")) == 1
    assert time.monotonic() - start >= 0.4
    assert len(server.requests) == 3


def test_unavailable_is_tried_again_until_retries_end(target: str, server: FakeServer) -> None:
    with Kandinsky(target, retries=2) as client:
        server.failures.extend([Failure(Code.UNAVAILABLE)] * 2)
        assert client.info().device == "cpu"
        server.failures.extend([Failure(Code.UNAVAILABLE, "DRAINING", retry_seconds=0.01)] * 3)
        with pytest.raises(UnavailableError) as caught:
            client.prior("x")
    assert caught.value.retry_delay == 0.01
    assert len(server.requests) == 6


def test_no_wait_outlasts_the_timeout(client: Kandinsky, server: FakeServer) -> None:
    server.failures.append(Failure(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry_seconds=0.9))
    start = time.monotonic()
    with pytest.raises(OverloadedError) as caught:
        client.prior("x", timeout=0.8)
    assert caught.value.retry_delay == 0.9
    assert time.monotonic() - start < 0.8
    assert len(server.requests) == 1


def test_a_try_after_a_result_leaves_that_out(client: Kandinsky, server: FakeServer) -> None:
    server.fail_after_first = Failure(Code.UNAVAILABLE)
    made = client.generate("x", image_count=2)
    assert [image.index for image in made] == [0, 1]
    assert (made.completed.embedding_count, made.completed.image_count) == (2, 2)
    first, second = server.requests
    assert not first.options.HasField("resume")
    assert [each.index for each in second.options.resume.embeddings] == [1]


def test_what_fails_for_good_after_a_result_is_not_tried_again(client: Kandinsky, server: FakeServer) -> None:
    server.fail_after_first = Failure(Code.INTERNAL)
    with pytest.raises(RpcError):
        client.prior("x")
    assert len(server.requests) == 1


def test_events_before_the_first_result_may_come_again(client: Kandinsky, server: FakeServer) -> None:
    server.failures.append(Failure(Code.UNAVAILABLE))
    events = list(client.stream.prior("x"))
    assert isinstance(events[0], Queued)
    assert len(server.requests) == 2


def test_a_call_that_is_tried_again_is_the_same_call(client: Kandinsky, server: FakeServer) -> None:
    """Also one without a seed: the client draws it."""
    for call in (lambda: client.prior("x"), lambda: client.generate("x"), lambda: client.estimate.prior("x")):
        server.requests.clear()
        server.failures.append(Failure(Code.UNAVAILABLE))
        call()
        first, second = server.requests
        assert first == second
    client.prior("x")
    seeds = {client.prior("x").seed for _ in range(4)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**53 for seed in seeds)


async def test_the_async_client_repeats_itself_alike(
    async_client: AsyncKandinsky, server: FakeServer
) -> None:
    server.failures.append(Failure(Code.UNAVAILABLE))
    made = await async_client.generate("x")
    first, second = server.requests
    assert first == second
    assert made.seed == second.sampling.seed


def test_a_timeout_ends_a_call(client: Kandinsky, server: FakeServer) -> None:
    server.endless = True
    with pytest.raises(DeadlineExceededError):
        client.prior("x", timeout=0.2)


def test_a_stream_without_completed_is_an_error(client: Kandinsky, server: FakeServer) -> None:
    server.cut_stream = True
    with pytest.raises(IncompleteStreamError, match="completed"):
        client.prior("x")


def test_an_image_that_misses_a_chunk_is_an_error(client: Kandinsky, server: FakeServer) -> None:
    server.lose_chunk = True
    with pytest.raises(IncompleteStreamError, match="misses bytes"):
        client.generate("x", width_px=512, height_px=512)


def test_nobody_there() -> None:
    with Kandinsky("localhost:1", retries=1) as client:
        assert not client.ready()
        with pytest.raises(UnavailableError):
            client.info(timeout=5)


async def test_the_async_client_fails_and_tries_again_alike(
    async_client: AsyncKandinsky, server: FakeServer
) -> None:
    full = Failure(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry_seconds=0.05)
    server.failures.extend([full, Failure(Code.UNAVAILABLE)])
    assert len(await async_client.prior("x")) == 1
    assert len(server.requests) == 3
    server.failures.append(Failure(Code.INVALID_ARGUMENT, "INVALID_FIELD"))
    with pytest.raises(InvalidRequestError) as caught:
        await async_client.estimate.prior("x")
    assert caught.value.request_id == REQUEST_ID
    server.failures.append(Failure(Code.FAILED_PRECONDITION, "STAGE_NOT_LOADED"))
    with pytest.raises(StageNotLoadedError):
        await async_client.prior("x")
    server.cut_stream = True
    with pytest.raises(IncompleteStreamError):
        await async_client.prior("x")
    server.endless = True
    with pytest.raises(DeadlineExceededError):
        await async_client.prior("x", timeout=0.2)
