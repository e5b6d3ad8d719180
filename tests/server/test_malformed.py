"""Random nonsense at every RPC: the answer is always the client's error, or a success, and the server goes on.

The messages are drawn from the contract's own descriptors, so a new field is tried as soon as it exists.
``FUZZ_EXAMPLES=500 pytest tests/server/test_malformed.py`` tries that many an RPC, new ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kandinsky_api.v1 import server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer

from tests.support.raw import WIDTH, Raw, connected, embedding, good_requests, picture

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
fuzz = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

Kind = FieldDescriptor
EXTREMES = [-(2**31), -64, -1, 0, 1, 2, 16, 17, 64, 128, 2**31 - 1]
CHEAP = {
    "step_count": [-(2**31), -1, 0, 1, 2, 3, 1001, 2**31 - 1],
    "image_count": [-(2**31), -1, 0, 1, 2, 17, 2**31 - 1],
    "width_px": [-(2**31), -64, 0, 1, 63, 64, 65, 128, 2**30, 2**31 - 1],
    "height_px": [-(2**31), -64, 0, 1, 63, 64, 65, 128, 2**30, 2**31 - 1],
}
"""Fields that make valid requests long: their valid values are small ones."""

PARTS: list[Literal["data", "dtype", "shape", "prior_fingerprint"]] = [
    "data",
    "dtype",
    "shape",
    "prior_fingerprint",
]
"""All fields of an embedding."""

PICTURES = [picture(kind=kind) for kind in ("PNG", "JPEG", "WEBP")] + [picture(1, 300), b"\0" * 192, b""]


@st.composite
def image_bytes(draw: st.DrawFn) -> bytes:
    """A picture: whole, cut short, or with bytes changed; or no picture at all."""
    data = bytearray(draw(st.sampled_from(PICTURES)))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    for place in draw(st.lists(st.integers(0, 2**20), max_size=4)):
        if data:
            data[place % len(data)] = draw(st.integers(0, 255))
    return bytes(data) or draw(st.binary(max_size=64))


@st.composite
def embeddings(draw: st.DrawFn) -> pb.Embedding:
    """Values that are sane or not numbers, now and then with a part missing or of another kind."""
    value = draw(st.floats(-10, 10, width=32) | st.sampled_from([float("nan"), float("inf")]))
    message = embedding([value] * WIDTH)
    for name in draw(st.sets(st.sampled_from(PARTS), max_size=2)):
        message.ClearField(name)
        if draw(st.booleans()):
            message.MergeFrom(draw(messages(pb.Embedding.DESCRIPTOR, [name])))
    return message


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, names: list[str] | None = None) -> Any:
    """A message of any type with some of its fields set, to anything that the wire can carry."""
    if descriptor.full_name == pb.Embedding.DESCRIPTOR.full_name and names is None:
        return draw(embeddings())
    made = descriptor._concrete_class  # type: ignore[attr-defined]  # its types leave it out
    message = getattr(__import__(made.__module__, fromlist=["x"]), descriptor.name)()
    names = names or draw(st.lists(st.sampled_from(list(descriptor.fields_by_name)), max_size=3, unique=True))
    for name in names:
        field = descriptor.fields_by_name[name]
        if field.message_type and field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields
            getattr(message, name).update(draw(st.dictionaries(values(key), values(value), max_size=2)))
        elif field.is_repeated:
            for value in draw(st.lists(values(field), max_size=2)):
                put(getattr(message, name), value)
        elif field.message_type:
            getattr(message, name).MergeFrom(draw(values(field)))
        else:
            setattr(message, name, draw(values(field)))
    return message


def put(container: Any, value: Any) -> None:
    container.append(value)


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Anything that the wire can carry in this field."""
    if field.message_type:
        return messages(field.message_type)
    if field.name in CHEAP:
        return st.sampled_from(CHEAP[field.name])
    integers = st.sampled_from(EXTREMES)
    by_type = {
        Kind.TYPE_INT32: integers | st.integers(-(2**31), 2**31 - 1),
        Kind.TYPE_INT64: integers | st.integers(-(2**63), 2**63 - 1),
        Kind.TYPE_ENUM: st.integers(0, 6) | integers,
        Kind.TYPE_DOUBLE: st.floats() | st.floats(-2, 5),
        Kind.TYPE_BOOL: st.booleans(),
        Kind.TYPE_STRING: st.text(max_size=40) | st.just("x" * 3000),
        Kind.TYPE_BYTES: image_bytes(),
    }
    return by_type[field.type]


@st.composite
def spoiled(draw: st.DrawFn, method: str) -> Any:
    """A good request with fields taken away and nonsense put in."""
    message = type(good_requests()[method])()
    message.CopyFrom(good_requests()[method])
    # Without these the default is 100 steps.
    names = [f.name for f in message.DESCRIPTOR.fields if f.name not in ("sampling", *CHEAP)]
    for name in draw(st.sets(st.sampled_from(names), max_size=2)):
        message.ClearField(name)
    message.MergeFrom(draw(messages(message.DESCRIPTOR)))
    return message


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        before = {name: outcome(stubs, name) for name in good_requests()}
        yield stubs
        assert stubs.serving() == "SERVING"
        assert {name: outcome(stubs, name) for name in good_requests()} == before
        assert server.app.admission.length == 0


def outcome(raw: Raw, method: str) -> list[bytes]:
    """What a good request gets: the same bytes before the storm and after."""
    answer = raw.call(method, good_requests()[method])
    assert answer.code == StatusCode.OK, answer
    assert answer.kinds[-1] == "completed"
    return [r.data for r in answer.images] + [r.embeddings.positive.data for r in answer.embeddings]


def check(raw: Raw, method: str, request: Any) -> None:
    answer = raw.call(method, request)
    if answer.code == StatusCode.OK:
        return
    reasons = {
        StatusCode.INVALID_ARGUMENT: {"INVALID_FIELD", "INVALID_IMAGE", "INVALID_EMBEDDING"},
        StatusCode.FAILED_PRECONDITION: {"FINGERPRINT_MISMATCH", "STAGE_NOT_LOADED"},
    }
    assert answer.reason in reasons.get(answer.code, set()), answer
    assert answer.request_id
    if answer.code == StatusCode.INVALID_ARGUMENT:
        assert answer.violations, answer


@pytest.mark.slow
@pytest.mark.parametrize("method", good_requests())
def test_nonsense_is_refused_and_harms_nobody(raw: Raw, method: str) -> None:
    @fuzz
    @given(spoiled(method))
    def storm(request: Any) -> None:
        check(raw, method, request)

    storm()


@pytest.mark.slow
def test_nonsense_is_not_estimated(raw: Raw) -> None:
    fields = server_pb2.EstimateRequest.DESCRIPTOR.fields
    names = dict(zip(good_requests(), [field.name for field in fields], strict=True))

    @fuzz
    @given(st.sampled_from(list(names)).flatmap(lambda m: st.tuples(st.just(names[m]), spoiled(m))))
    def storm(drawn: tuple[str, Any]) -> None:
        name, request = drawn
        check(raw, "Estimate", server_pb2.EstimateRequest(**{name: request}))

    storm()


@pytest.mark.slow
@pytest.mark.parametrize("method", good_requests())
def test_bytes_that_follow_no_contract_are_refused(raw: Raw, method: str) -> None:
    service = "PriorService" if method in ("Prior", "Interpolate") else "ImageService"
    path = f"/kandinsky_api.v1.{service}/{method}"
    stub: grpc.UnaryStreamMultiCallable[bytes, bytes] = raw.channel.unary_stream(path)

    @settings(fuzz, max_examples=EXAMPLES or 10)
    @given(st.binary(max_size=64))
    def storm(data: bytes) -> None:
        answer = raw.read(stub, data, timeout=60)
        assert answer.code == StatusCode.INVALID_ARGUMENT
        assert answer.violations

    storm()
