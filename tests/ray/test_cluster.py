"""Two replicas behind Serve's gRPC proxy answer as `kandinsky serve` does."""

import hashlib
import os
import signal
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import server_pb2
from kandinsky_client import RpcError
from kandinsky_server.ray.context import TIMEOUT_KEY
from kandinsky_server.testing.running import RunningServer

from tests.ray.cluster import Cluster
from tests.ray.conftest import QUEUE_SIZE
from tests.support.patience import eventually
from tests.support.raw import Answer, Raw, connected, good_requests, rest
from tests.support.requests import decode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ENDLESS = 1000
"""Steps of a request that is never waited for."""


def digest(answer: Answer) -> str:
    """Of all pixels and numbers of an answer."""
    assert answer.code == StatusCode.OK, answer
    kept = [result.data for result in answer.images]
    kept += [result.embeddings.SerializeToString() for result in answer.embeddings]
    assert kept
    return hashlib.sha256(b"".join(kept)).hexdigest()


def instances(raw: Raw) -> set[str]:
    """The replicas that answered some calls, as they call themselves."""
    calls = [raw.call("GetServerInfo", server_pb2.GetServerInfoRequest()) for _ in range(16)]
    return {response.instance_id for call in calls for response in call.events}


def queue_lengths(raw: Raw) -> set[int]:
    request = server_pb2.EstimateRequest(decode=decode())
    return {raw.call("Estimate", request).events[0].queue_length for _ in range(8)}


def start(raw: Raw, seed: int, **options: Any) -> Any:
    """A Decode without end that has begun."""
    call = raw.image_service.Decode(decode(seed, step_count=ENDLESS, **options))
    assert next(call).event.WhichOneof("kind") == "queued"
    return call


def test_both_replicas_answer(raw: Raw) -> None:
    assert len(instances(raw)) == 2


@pytest.mark.parametrize("method", good_requests())
def test_results_are_those_of_the_plain_server(raw: Raw, plain: RunningServer, method: str) -> None:
    request = good_requests()[method]
    request.sampling.seed = 77
    with connected(plain.target) as stubs:
        expected = stubs.call(method, request)
    answers = [raw.call(method, request) for _ in range(4)]
    assert {digest(answer) for answer in answers} == {digest(expected)}
    for answer in answers:
        assert (answer.kinds[0], answer.kinds[-1]) == ("queued", "completed")
        # An embedding from a replica's cache has no progress.
        assert {*answer.kinds, "progress"} == {*expected.kinds, "progress"}


def test_the_client_decodes(cluster: Cluster, plain: RunningServer) -> None:
    with cluster.client() as client, plain.client() as other:
        pair = client.prior("a red cube", seed=3, step_count=2)
        one, two = (of.decode(pair, seed=4, step_count=2) for of in (client, other))
        assert one[0].data == two[0].data
        with pytest.raises(RpcError) as raised:
            client.decode(pair, step_count=-1)
    assert (raised.value.reason, raised.value.field_violations[0].field) == (
        "INVALID_FIELD",
        "sampling.step_count",
    )


def test_a_request_id_is_kept(raw: Raw) -> None:
    assert raw.call("Decode", decode(), x_request_id="mine").request_id == "mine"


def test_an_invalid_field_is_told_with_its_details(raw: Raw) -> None:
    answer = raw.call("Decode", decode(step_count=-1), x_request_id="bad")
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(answer.violations) == ["sampling.step_count"]
    assert answer.request_id == "bad"
    assert answer.pushback_ms == -1


def test_an_estimate_is_refused_likewise(raw: Raw) -> None:
    answer = raw.call("Estimate", server_pb2.EstimateRequest())
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


def test_an_embedding_of_another_prior_is_refused(raw: Raw) -> None:
    request = decode()
    request.embeddings[0].positive.prior_fingerprint = "0" * 64
    answer = raw.call("Decode", request)
    assert (answer.code, answer.reason) == (StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH")


def test_a_full_queue_is_told_with_a_delay(raw: Raw) -> None:
    """Both replicas are filled; then there is no third."""
    calls, answer = [], None
    for seed in range(3):
        call = raw.image_service.Decode(decode(seed, step_count=ENDLESS, image_count=QUEUE_SIZE))
        if next(call).event.WhichOneof("kind") != "queued":
            answer = rest(call)
            break
        calls.append(call)
    for call in calls:
        call.cancel()
    assert answer
    assert (answer.code, answer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert answer.retry_seconds
    assert answer.pushback_ms
    eventually(lambda: queue_lengths(raw) == {0})


def test_a_cancelled_request_frees_its_place(raw: Raw, cluster: Cluster) -> None:
    call = start(raw, 5, image_count=QUEUE_SIZE)
    eventually(lambda: QUEUE_SIZE in queue_lengths(raw))
    call.cancel()
    begun = time.monotonic()
    eventually(lambda: queue_lengths(raw) == {0})
    assert time.monotonic() - begun < 5
    eventually(lambda: '"code": "CANCELLED"' in cluster.lines())


def test_a_client_without_time_frees_its_place(raw: Raw) -> None:
    answer = raw.call("Decode", decode(step_count=ENDLESS, image_count=QUEUE_SIZE), timeout=1)
    assert answer.code == StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: queue_lengths(raw) == {0})


def test_a_deadline_in_the_metadata_is_the_requests(raw: Raw) -> None:
    answers = [
        raw.read(
            raw.image_service.Decode,
            decode(seed, step_count=ENDLESS, image_count=QUEUE_SIZE),
            metadata=[(TIMEOUT_KEY, "0.5")],
        )
        for seed in range(2)
    ]
    for answer in answers:
        assert answer.reason in ("DEADLINE_EXCEEDED", "DEADLINE_UNREACHABLE")


def test_a_deadline_that_is_no_number_is_refused(raw: Raw) -> None:
    answer = raw.read(raw.image_service.Decode, decode(), metadata=[(TIMEOUT_KEY, "soon")])
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


def test_a_killed_replica_is_replaced_and_the_other_goes_on(raw: Raw, cluster: Cluster) -> None:
    request = decode(9, step_count=20)
    expected = digest(raw.call("Decode", request))
    before, killed = cluster.replicas(), cluster.replicas()[0]
    # Serve sends the second to the replica that has less to do.
    calls = [start(raw, seed, image_count=QUEUE_SIZE) for seed in range(2)]
    os.kill(killed, signal.SIGKILL)
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(rest, call) for call in calls]
        (lost,) = (end.result() for end in wait(ends, return_when=FIRST_COMPLETED).done)
        for call in calls:
            call.cancel()
    # Not UNAVAILABLE, alas: see docs/ray.md.
    assert (lost.code, lost.reason) == (StatusCode.INTERNAL, "")
    eventually(lambda: len(cluster.replicas()) == len(before) and killed not in cluster.replicas())
    eventually(lambda: len(instances(raw)) == len(before))
    eventually(lambda: queue_lengths(raw) == {0})
    assert {digest(raw.call("Decode", request)) for _ in range(4)} == {expected}


def test_reflection_lists_the_services(raw: Raw) -> None:
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    stub: Any = reflection_pb2_grpc.ServerReflectionStub(raw.channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    listed = [
        service.name
        for answer in stub.ServerReflectionInfo(asked)
        for service in answer.list_services_response.service
    ]
    assert {"kandinsky_api.v1.PriorService", "kandinsky_api.v1.ImageService"} <= set(listed)


def test_health_is_serves_own(raw: Raw) -> None:
    ask: Any = raw.channel.unary_unary("/ray.serve.RayServeAPIService/Healthz")
    # A message of one field, a string.
    assert ask(b"")[2:] == b"success"
    with pytest.raises(grpc.RpcError) as raised:
        raw.serving()
    assert raised.value.code() == StatusCode.UNIMPLEMENTED
