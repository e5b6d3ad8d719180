"""Errors to gRPC status, in one table, and to the trailers that come with it."""

from __future__ import annotations

import math

from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc_status import rpc_status

from kandinsky_server import errors
from kandinsky_server.rpc.respond import duration

DOMAIN = "kandinsky-grpc.github.io"
"""Of every reason, for ever: what clients compare."""

PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""The trailer that gRPC's own retries obey: milliseconds to wait, below 0 for never."""

MAX_PUSHBACK_MS = 2**31 - 1

Trailers = tuple[tuple[str, str | bytes], ...]

CODES: dict[type[errors.ServingError], StatusCode] = {
    errors.InvalidRequest: StatusCode.INVALID_ARGUMENT,
    errors.FailedPrecondition: StatusCode.FAILED_PRECONDITION,
    errors.MessageTooLong: StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded: StatusCode.RESOURCE_EXHAUSTED,
    errors.RetryLater: StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: StatusCode.DEADLINE_EXCEEDED,
    # Not UNAVAILABLE or RESOURCE_EXHAUSTED: client libraries try those again by themselves.
    errors.NotRead: StatusCode.ABORTED,
    errors.RequestCancelled: StatusCode.CANCELLED,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: StatusCode.PERMISSION_DENIED,
    errors.InternalFailure: StatusCode.INTERNAL,
}


MESSAGE_BYTES = 800
DETAILS_BYTES = 2200
"""A client refuses trailers of more than 8 KiB, and with them the status. In these, every byte of the message may become
three, and all of it comes again with the details, where three bytes are four.
"""


def code_of(error: errors.ServingError) -> StatusCode:
    """The code of the nearest ancestor in the table."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def ending(error: errors.ServingError) -> tuple[StatusCode, str, Trailers]:
    """What a call ends with: code, message and trailers, the rich status among them."""
    rich = rpc_status.to_status(status_of(error))
    return rich.code, rich.details, (*rich.trailing_metadata, (PUSHBACK_KEY, str(_pushback_ms(error))))


def _pushback_ms(error: errors.ServingError) -> int:
    if isinstance(error, errors.RetryLater) and error.worth_repeating:
        return min(MAX_PUSHBACK_MS, math.ceil(error.retry_after * 1000))
    return -1


def status_of(error: errors.ServingError) -> status_pb2.Status:
    """The rich status: message, ErrorInfo and, where they apply, BadRequest and RetryInfo."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if isinstance(error, errors.InvalidRequest):
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        while bad.ByteSize() > DETAILS_BYTES:
            del bad.field_violations[-1]
        details.append(bad)
    if isinstance(error, errors.RetryLater):
        details.append(error_details_pb2.RetryInfo(retry_delay=duration(error.retry_after)))
    number: int = code_of(error).value[0]
    status = status_pb2.Status(code=number, message=_cut(error.message))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _cut(text: str) -> str:
    """The text, or as much of its beginning as there is room for."""
    data = text.encode()
    if len(data) <= MESSAGE_BYTES:
        return text
    return data[: MESSAGE_BYTES - 4].decode(errors="ignore") + " ..."
