"""A proxy that lost its server resets the stream, and a server that ends lets calls go: another replica may answer."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from kandinsky_client.errors import (
    DOMAIN,
    CallCancelledError,
    RpcError,
    ServerError,
    UnavailableError,
    from_grpc,
)

RESET = "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))"


class Ended(grpc.RpcError):
    """A call as grpc raises it."""

    def __init__(self, code: grpc.StatusCode, details: str, trailer: tuple[Any, ...] = ()) -> None:
        self._code, self._details, self._trailer = code, details, trailer

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[Any, ...]:
        return self._trailer


INTERNAL, CANCELLED = grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED
OF_A_PROXY = (("x-envoy-upstream-service-time", "3"),)
STATUS = status_pb2.Status(code=1, message="CANCELLED")
STATUS.details.add().Pack(error_details_pb2.ErrorInfo(domain=DOMAIN, reason="CANCELLED"))
OF_THE_CONTRACT = (("grpc-status-details-bin", STATUS.SerializeToString()),)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Ended(INTERNAL, RESET), UnavailableError),
        (Ended(CANCELLED, RESET), UnavailableError),
        (Ended(CANCELLED, "CANCELLED"), UnavailableError),
        (Ended(CANCELLED, "CANCELLED", OF_A_PROXY), UnavailableError),
        (Ended(CANCELLED, "CANCELLED", OF_THE_CONTRACT), CallCancelledError),
        (Ended(CANCELLED, "Locally cancelled by application!"), CallCancelledError),
        (Ended(INTERNAL, "the latents are not finite"), ServerError),
    ],
    ids=[
        "reset",
        "reset, CANCELLED",
        "let go",
        "let go behind a proxy",
        "with a reason",
        "here",
        "another INTERNAL",
    ],
)
def test_a_call_without_a_reason_that_was_reset_or_let_go_is_a_lost_server(
    error: Ended, kind: type[RpcError]
) -> None:
    typed = from_grpc(error)
    assert type(typed) is kind
    assert typed.code is (grpc.StatusCode.UNAVAILABLE if kind is UnavailableError else error.code())
