"""What a server of a later version may send is passed over, or kept as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor_pb2 import EnumDescriptorProto
from kandinsky_api.v1 import errors_pb2, events_pb2, types_pb2
from kandinsky_client import (
    AsyncKandinsky,
    ImageReady,
    IncompleteStreamError,
    Kandinsky,
    Preview,
    ServerError,
)
from kandinsky_client.assembly import Assembly

from tests.client.fake_server import LATER_FORMAT, LATER_KIND, Failure, FakeServer


@pytest.fixture(autouse=True)
def newer(server: FakeServer) -> None:
    server.newer = True


def test_the_event_and_the_format_are_unknown() -> None:
    assert LATER_KIND.WhichOneof("kind") is None
    assert LATER_KIND.ByteSize()
    formats = EnumDescriptorProto()
    types_pb2.ImageFormat.DESCRIPTOR.CopyToProto(formats)
    assert LATER_FORMAT not in {value.number for value in formats.value}


def test_kinds_of_events_are_passed_over(client: Kandinsky) -> None:
    assert len(client.prior(["a", "b"])) == 2
    (image,) = client.generate("a")
    assert image.embedding


async def test_the_async_client_passes_them_over_alike(async_client: AsyncKandinsky) -> None:
    assert len(await async_client.prior(["a", "b"])) == 2
    (image,) = await async_client.generate("a")
    assert image.format == "unknown"


def test_encodings_are_kept_as_they_are(client: Kandinsky) -> None:
    events = list(client.stream.generate("a", preview_interval_steps=1))
    (preview,) = (event for event in events if isinstance(event, Preview))
    (ready,) = (event for event in events if isinstance(event, ImageReady))
    assert (preview.format, ready.result.format) == ("unknown", "unknown")
    # Pillow looks at the bytes, and these it knows.
    assert ready.result.image.size == (64, 64)
    assert preview.image.size == (4, 4)


def test_reasons_are_told_as_they_are(client: Kandinsky, server: FakeServer) -> None:
    assert "A_LATER_ONE" not in "".join(name for name, _ in errors_pb2.ErrorReason.items())
    server.failures.append(Failure(grpc.StatusCode.INTERNAL, "A_LATER_ONE", metadata={"limit_bytes": "7"}))
    with pytest.raises(ServerError) as caught:
        client.prior("a")
    assert (caught.value.reason, caught.value.metadata) == ("A_LATER_ONE", {"limit_bytes": "7"})


def test_an_embedding_of_another_dtype_breaks_the_contract() -> None:
    """By contract they are float32: what a client cannot read is no result."""

    def events() -> Iterator[object]:
        embedding = types_pb2.Embedding(data=b"1234", dtype=9, shape=[4])  # type: ignore[arg-type]
        pair = types_pb2.EmbeddingPair(positive=embedding)
        event = events_pb2.Event(embedding=events_pb2.EmbeddingResult(embeddings=pair))
        yield from Assembly().receive(type("Response", (), {"event": event}))

    with pytest.raises(IncompleteStreamError, match=re.escape("dtype 9 needs a newer client")):
        list(events())
