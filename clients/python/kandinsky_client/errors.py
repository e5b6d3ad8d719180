"""What a call can raise.

::

    KandinskyError
    ├── RpcError                     the server, or the way to it, answered with a status other than OK
    │   ├── InvalidRequestError      INVALID_ARGUMENT: change the request; see `field_violations`
    │   ├── PreconditionError        FAILED_PRECONDITION: this server cannot do that
    │   │   ├── FingerprintMismatchError   an embedding of another prior
    │   │   └── StageNotLoadedError        the server was started without that stage
    │   ├── OverloadedError          RESOURCE_EXHAUSTED: queue full or over quota; see `retry_delay`
    │   │   └── DeadlineUnreachableError   it could not finish within `timeout`
    │   ├── UnavailableError         UNAVAILABLE: the server is draining, or the way to it broke
    │   │   ├── UnreachableError           nobody answers at the target
    │   │   └── TlsError                   both ends do not agree on encryption, or on whom to trust
    │   ├── DeadlineExceededError    DEADLINE_EXCEEDED: `timeout` passed
    │   ├── CallCancelledError       CANCELLED: the call was closed from elsewhere
    │   ├── AuthenticationError      UNAUTHENTICATED: no token, or a wrong one
    │   ├── AuthorizationError       PERMISSION_DENIED: the token does not allow it
    │   └── ServerError              every other code, such as INTERNAL
    ├── IncompleteStreamError        the answer ended early, or an image misses bytes
    └── EmbeddingFileError           a file that holds no embeddings
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from kandinsky_client.grpc_messages import explain

DOMAIN = "kandinsky-grpc.github.io"
REQUEST_ID_KEY = "x-request-id"


class KandinskyError(Exception):
    """The root of everything this package raises on purpose."""


class IncompleteStreamError(KandinskyError):
    """The stream ended without `completed`, or what it carried does not add up."""


class EmbeddingFileError(KandinskyError, ValueError):
    """A file that is no `.safetensors` file of embeddings."""


@dataclass(frozen=True)
class FieldViolation:
    """One field of the request that broke its range.

    Args:
        field: Its path, such as "sampling.step_count".
        description: What to change.
    """

    field: str
    description: str


class RpcError(KandinskyError):
    """A status other than OK.

    Args:
        code: The canonical code.
        message: The server's sentence.
        reason: The machine-readable reason, such as "QUEUE_FULL": a name of the contract's ErrorReason; empty when gRPC
            itself made the status.
        metadata: The limits and values that the message speaks of, by the names that errors.proto gives at each reason.
        field_violations: The fields to change, for INVALID_ARGUMENT.
        retry_delay: Seconds to wait before another try, as the server advises; None when it does not.
        request_id: What the server's log knows the request by; empty when the request never got there.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: tuple[FieldViolation, ...] = (),
        retry_delay: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.field_violations = field_violations
        self.retry_delay = retry_delay
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles with all attributes; exceptions by themselves keep only what `Exception` was given."""
        return _restored, (type(self), self.code, self.message), self.__dict__

    def __str__(self) -> str:
        parts = [f"{self.code.name}{f' ({self.reason})' if self.reason else ''}: {self.message}"]
        parts += [
            f"{v.field}: {v.description}" for v in self.field_violations if v.description not in self.message
        ]
        if self.request_id:
            parts.append(f"request {self.request_id}")
        return " | ".join(parts)


class InvalidRequestError(RpcError):
    """INVALID_ARGUMENT: reasons INVALID_FIELD, INVALID_IMAGE, INVALID_EMBEDDING."""


class PreconditionError(RpcError):
    """FAILED_PRECONDITION: the request is sound, but not for this server."""


class FingerprintMismatchError(PreconditionError):
    """The embedding was made by another prior than the decoder's."""


class StageNotLoadedError(PreconditionError):
    """The server was started without the stage, or depth model, that the call needs."""


class OverloadedError(RpcError):
    """RESOURCE_EXHAUSTED: reasons QUEUE_FULL, QUOTA; or a message over the size limit."""


class DeadlineUnreachableError(OverloadedError):
    """The server knew on arrival that it could not finish within `timeout`."""


class UnavailableError(RpcError):
    """UNAVAILABLE: the server cannot be reached, went away, or is draining."""


class UnreachableError(UnavailableError):
    """Nobody answers at the target: no such host, nothing listens there, or no way leads to it."""


class TlsError(UnavailableError):
    """Both ends do not agree on encryption, or on whom to trust; trying again cannot help."""


class DeadlineExceededError(RpcError):
    """DEADLINE_EXCEEDED: `timeout` passed before the last result."""


class CallCancelledError(RpcError):
    """CANCELLED: the call was closed by another thread, or by the server."""


class AuthenticationError(RpcError):
    """UNAUTHENTICATED: the token is missing or wrong."""


class AuthorizationError(RpcError):
    """PERMISSION_DENIED: the token is known, but not for this."""


class ServerError(RpcError):
    """Any other code: INTERNAL (reasons NON_FINITE, BACKEND_FAILED), UNIMPLEMENTED, ..."""


_BY_CODE: dict[grpc.StatusCode, type[RpcError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.CANCELLED: CallCancelledError,
    grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
    grpc.StatusCode.PERMISSION_DENIED: AuthorizationError,
}

_STREAM_RESET = "RST_STREAM"
"""What gRPC says where a proxy lost its server and cut the stream off."""

_LET_GO = "CANCELLED"
"""What gRPC's servers say to calls that came as they ended; what was cancelled here has other words."""

_OF_THE_WAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_BY_KIND: dict[str, type[RpcError]] = {"tls": TlsError, "unreachable": UnreachableError}

_BY_REASON: dict[str, type[RpcError]] = {
    "FINGERPRINT_MISMATCH": FingerprintMismatchError,
    "STAGE_NOT_LOADED": StageNotLoadedError,
    "DEADLINE_UNREACHABLE": DeadlineUnreachableError,
}


def from_grpc(error: grpc.RpcError) -> RpcError:
    """Translates what grpc or grpc.aio raised, with the details that the server attached."""
    call = cast(grpc.Call, error)  # what either flavour raises is one too; the types do not say so
    code = call.code()
    reason, metadata, violations, retry_delay = "", {}, [], None
    for detail in _details(call):
        if isinstance(detail, error_details_pb2.ErrorInfo) and detail.domain == DOMAIN:
            reason, metadata = detail.reason, dict(detail.metadata)
        elif isinstance(detail, error_details_pb2.BadRequest):
            violations += [FieldViolation(v.field, v.description) for v in detail.field_violations]
        elif isinstance(detail, error_details_pb2.RetryInfo):
            retry_delay = detail.retry_delay.ToTimedelta().total_seconds()
    message = call.details() or "no message"
    explanation = explain(message) if code in _OF_THE_WAY and not reason else None
    kind = _BY_REASON.get(reason) or _BY_CODE.get(code, ServerError)
    if not reason and _is_lost(code, message):
        code, kind = grpc.StatusCode.UNAVAILABLE, UnavailableError
    if explanation and kind is UnavailableError:
        kind = _BY_KIND.get(explanation.kind, kind)
    return kind(
        code,
        explanation.words if explanation else message,
        reason=reason,
        metadata=metadata,
        field_violations=tuple(violations),
        retry_delay=retry_delay,
        request_id=_request_id(call),
    )


def _is_lost(code: grpc.StatusCode, message: str) -> bool:
    if _STREAM_RESET in message:
        return code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED)
    return code is grpc.StatusCode.CANCELLED and message == _LET_GO


def _restored(kind: type[RpcError], code: grpc.StatusCode, message: str) -> RpcError:
    return kind(code, message)


def _details(call: grpc.Call) -> Iterator[Message]:
    try:
        status: status_pb2.Status | None = rpc_status.from_call(call)
    except (ValueError, DecodeError):  # details that contradict the status, or were cut off: by a proxy
        return
    for packed in status.details if status else ():
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            detail = kind()
            if packed.Unpack(detail):
                yield detail


def _request_id(call: grpc.Call) -> str:
    for key, value in call.trailing_metadata() or ():
        if key == REQUEST_ID_KEY:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""
