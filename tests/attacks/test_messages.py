"""One message that is made to freeze or fill the process: it is refused by its outline, before it is parsed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.errors import InvalidField
from kandinsky_server.rpc.limits import Limits
from kandinsky_server.rpc.wire_format import check
from kandinsky_server.settings import Settings
from kandinsky_server.testing.running import RunningServer

from benchmarks.attacks.messages import TRAILER_BYTES, bombs, send
from benchmarks.attacks.vigil import Vigil
from tests.support.process import Process
from tests.support.raw import Raw, connected, good_requests, pair

MIB = 2**20
SIZE = 6 * MIB
REFUSED = {StatusCode.INVALID_ARGUMENT, StatusCode.RESOURCE_EXHAUSTED}
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_metadata_size", 1 << 28)]
UNLIMITED += [("grpc.absolute_max_metadata_size", 1 << 28)]

WIDE = Limits.of(Settings()).bounds
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("name", bombs(64))
def test_no_message_fills_the_process_or_hides_its_status(victim: Process, name: str) -> None:
    method, message = bombs(SIZE)[name]
    target = victim.target("serving")
    with grpc.insecure_channel(target, UNLIMITED) as channel, Vigil(target, victim.process.pid) as vigil:
        heard = send(channel, method, message)
    assert heard.code in REFUSED, heard
    assert heard.trailer_bytes < TRAILER_BYTES, heard
    # The message, its copies on the way, and what gRPC keeps of both.
    assert vigil.growth_mib < 20 * SIZE / MIB, heard
    assert not vigil.failures


@pytest.fixture(scope="module")
def raw(tiny_model: Path) -> Iterator[Raw]:
    with RunningServer(tiny_model) as server, connected(server.target) as stubs:
        yield stubs


def much_wrong() -> prior_pb2.InterpolateRequest:
    """Within all counts: what is wrong are 16 texts, 16 vectors of weights, and five fields more."""
    return prior_pb2.InterpolateRequest(
        conditions=[prior_pb2.Condition(text="é" * 3000)] * 16,
        weights=[prior_pb2.Weights(values=[float("nan")] * 16)] * 16,
        negative_prompt="é" * 2001,
        options=pb.RequestOptions(
            preview_max_px=1,
            priority=pb.Priority.ValueType(77),
            preview_format=pb.ImageFormat.ValueType(99),
        ),
        sampling=pb.PriorSampling(step_count=-1, guidance_scale=-1, seed=-1),
    )


@pytest.mark.parametrize("method", ["Interpolate", "Estimate"])
def test_of_many_violations_twenty_are_told_and_the_rest_are_counted(raw: Raw, method: str) -> None:
    request = much_wrong()
    answer = raw.call(
        method, request if method == "Interpolate" else server_pb2.EstimateRequest(interpolate=request)
    )
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert 10 < len(answer.violations) <= 20
    assert "things are wrong with the request; the first 20: " in answer.message


def test_a_message_of_many_wrong_things_reaches_a_client_with_the_usual_limits(victim: Process) -> None:
    with grpc.insecure_channel(victim.target("serving")) as channel:
        heard = send(channel, "PriorService/Interpolate", much_wrong().SerializeToString())
    assert (heard.code, heard.trailer_bytes < TRAILER_BYTES) == (StatusCode.INVALID_ARGUMENT, True), heard


def test_a_long_string_is_not_told_again(raw: Raw) -> None:
    request = image_pb2.DecodeRequest(embeddings=[pair(fingerprint="é" * 4000)])
    answer = raw.call("Decode", request)
    assert (answer.code, answer.reason) == (StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH")
    assert answer.message.endswith("or send it to a server with that prior")
    assert len(answer.message) < 300


@pytest.mark.parametrize("method", good_requests())
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_clients_that_compress_are_served(raw: Raw, method: str, compression: grpc.Compression) -> None:
    """gRPC leaves it to the server to decompress, with a bound."""
    services = (raw.prior_service, raw.image_service)
    stub = next(getattr(service, method) for service in services if hasattr(service, method))
    assert raw.read(stub, good_requests()[method], compression=compression).kinds[-1] == "completed"


def test_health_and_reflection_are_served_compressed(raw: Raw) -> None:
    request = server_pb2.GetServerInfoRequest()
    stub = raw.server_service.GetServerInfo
    assert raw.read(stub, request, compression=grpc.Compression.Gzip).code == StatusCode.OK
    path = "/grpc.health.v1.Health/Check"
    check_health: grpc.UnaryUnaryMultiCallable[bytes, bytes] = raw.channel.unary_unary(path)
    name = b"\x0a" + bytes([len("prior")]) + b"prior"
    assert check_health(name, compression=grpc.Compression.Gzip) == b"\x08\x01"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("fault", ["cut short", "with more behind it", "too long"])
def test_what_is_badly_compressed_is_refused(victim: Process, encoding: str, fault: str) -> None:
    packed = ENCODINGS[encoding](prior_pb2.PriorRequest(prompts=["a cat"]).SerializeToString())
    packed = {
        "cut short": packed[:-5],
        "with more behind it": packed + b"more",
        "too long": ENCODINGS[encoding](bytes(33 * MIB)),
    }[fault]
    with grpc.insecure_channel(victim.target("serving")) as channel:
        path = "/kandinsky_api.v1.PriorService/Prior"
        prior: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(path)
        stream = prior(packed, timeout=60)
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
    expected = StatusCode.RESOURCE_EXHAUSTED if fault == "too long" else StatusCode.INVALID_ARGUMENT
    assert caught.value.code() == expected


def descriptors() -> dict[str, Descriptor]:
    files = (image_pb2.DESCRIPTOR, prior_pb2.DESCRIPTOR, server_pb2.DESCRIPTOR)
    found = {name: kind for file in files for name, kind in file.message_types_by_name.items()}
    return {name: kind for name, kind in found.items() if name.endswith("Request")}


def test_no_request_can_look_like_a_compressed_one() -> None:
    for name, kind in descriptors().items():
        assert 15 not in kind.fields_by_number, name


@pytest.mark.parametrize("method", good_requests())
def test_the_largest_honest_requests_pass(method: str) -> None:
    """All that limits allow at once: conditions, weights, pairs, texts."""
    limits = Limits.of(Settings())
    request: Any = good_requests()[method]
    for name in ("embeddings", "prompts", "conditions"):
        if name in request.DESCRIPTOR.fields_by_name:
            first = getattr(request, name)[0]
            del getattr(request, name)[:]
            getattr(request, name).extend([first] * limits.prompt_count)
    if isinstance(request, prior_pb2.InterpolateRequest):
        del request.weights[:]
        row = prior_pb2.Weights(values=[0.1] * limits.prompt_count)
        request.weights.extend([row] * limits.image_count)
    if "negative_prompt" in request.DESCRIPTOR.fields_by_name:
        request.negative_prompt = "\U0001f431" * limits.prompt_length
    data = request.SerializeToString() + b"\xaa\x3f" + b"\x90\x4e" + bytes(10_000)
    check(data, request.DESCRIPTOR, WIDE)


@pytest.mark.parametrize(
    "data", [b"\x0a\xff\xff\xff\xff\x0f", b"\x80" * 50, b"\x09\0\0", b"\x0b", b"\x0d\0", b"\x22\x02\x0a\x05"]
)
def test_what_is_no_message_is_refused_however_it_ends(data: bytes) -> None:
    request = b"\xaa\x3f" + b"\x90\x4e" + bytes(10_000) + data
    with pytest.raises(InvalidField, match="not what the contract says"):
        check(request, prior_pb2.PriorRequest.DESCRIPTOR, WIDE)
