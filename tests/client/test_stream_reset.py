"""A proxy that lost its server resets the stream, which gRPC calls INTERNAL: another replica may answer."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from kandinsky_client.errors import RpcError, ServerError, UnavailableError, from_grpc

RESET = "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))"


class Ended(grpc.RpcError):
    """A call as grpc raises it."""

    def __init__(self, details: str, trailer: tuple[Any, ...] = ()) -> None:
        self._details, self._trailer = details, trailer

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.INTERNAL

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[Any, ...]:
        return self._trailer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Ended(RESET), UnavailableError),
        (Ended(RESET, (("x-request-id", "a"),)), ServerError),
        (Ended("the latents are not finite"), ServerError),
    ],
    ids=["reset", "with a trailer", "another INTERNAL"],
)
def test_internal_is_a_lost_server_only_where_the_stream_was_reset(
    error: Ended, kind: type[RpcError]
) -> None:
    typed = from_grpc(error)
    assert type(typed) is kind
    lost = kind is UnavailableError
    assert typed.code is (grpc.StatusCode.UNAVAILABLE if lost else grpc.StatusCode.INTERNAL)
