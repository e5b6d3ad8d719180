"""Everything that can go wrong with a request, as one tree; and, apart from it, with a checkpoint.

::

    ServingError
    ├── InvalidRequest            the client must change the request
    │   ├── InvalidField
    │   ├── InvalidImage
    │   └── InvalidEmbedding
    ├── FailedPrecondition        this server cannot serve it, another might
    │   ├── FingerprintMismatch
    │   └── StageNotLoaded
    ├── MessageTooLong
    ├── Overloaded                try again later; carries when
    │   ├── ReceivingFull
    │   ├── QueueFull
    │   ├── QuotaExceeded
    │   └── DeadlineUnreachable
    ├── Draining                  try another replica; carries when
    ├── Starting                  try again when it has loaded; carries when
    ├── DeviceHung                try another replica; carries when
    ├── DeviceLost                try another replica; carries when
    ├── DeadlineExceeded
    │   ├── ReceiveTimedOut
    │   └── RequestTooLong        by the server's own limit
    ├── RequestCancelled
    ├── NotRead                   the client does not take what it is sent
    ├── Unauthenticated
    ├── PermissionDenied
    └── InternalFailure           not the client's fault
        ├── NonFinite
        └── BackendFailed

``rpc/status.py`` maps each class to its gRPC status, in one table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Violation:
    """Names a request field, such as ``sampling.width_px``, and says what to change."""

    field: str
    description: str


class ServingError(Exception):
    """A request's end other than success: a message for people, and for programs a ``reason`` and ``metadata``.

    ``reason`` is a name of ``ErrorReason`` in errors.proto, which also says by what names ``metadata`` holds limits and
    values. Only classes that have a reason are raised.
    """

    reason: ClassVar[str]

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = {name: str(value) for name, value in metadata.items()}


class InvalidRequest(ServingError):
    """The request itself is wrong; ``violations`` names the fields, and ``unnamed`` is how many more there are."""

    def __init__(self, violations: Sequence[Violation], unnamed: int = 0) -> None:
        told = [f"{v.field}: {v.description}" if v.field else v.description for v in violations]
        more = (
            f"{len(told) + unnamed} things are wrong with the request; the first {len(told)}: "
            if unnamed
            else ""
        )
        super().__init__(more + "; ".join(told), violation_count=len(told) + unnamed)
        self.violations = tuple(violations)


class InvalidField(InvalidRequest):
    """A field is out of range, empty or contradicts another."""

    reason = "INVALID_FIELD"


class InvalidImage(InvalidRequest):
    """Image bytes are no image, cut short, animated or too large."""

    reason = "INVALID_IMAGE"


class InvalidEmbedding(InvalidRequest):
    """An embedding has the wrong width or dtype, or holds NaN, infinity or values that no CLIP makes."""

    reason = "INVALID_EMBEDDING"


class FailedPrecondition(ServingError):
    """This server cannot serve the request, however often it is sent."""


class FingerprintMismatch(FailedPrecondition):
    """An embedding, or what is to be gone on with, was made by another stage."""

    reason = "FINGERPRINT_MISMATCH"


class StageNotLoaded(FailedPrecondition):
    """The request needs a stage that this server does not have."""

    reason = "STAGE_NOT_LOADED"


class MessageTooLong(ServingError):
    """A request has more than ``most`` bytes, once decompressed."""

    reason = "MESSAGE_TOO_LONG"

    def __init__(self, most: int) -> None:
        super().__init__(f"the message has more than {most} bytes", limit_bytes=most)


class RetryLater(ServingError):
    """The request is fine, the moment is not. ``retry_after`` is in seconds.

    ``worth_repeating`` says whether the same call, within its own deadline, could do better then.
    """

    worth_repeating: ClassVar[bool] = True

    def __init__(self, message: str, retry_after: float, **metadata: object) -> None:
        super().__init__(message, **metadata)
        self.retry_after = retry_after


class Overloaded(RetryLater):
    """The server has too much to do."""


class ReceivingFull(Overloaded):
    """Too many messages are on their way in, or too many of their bytes are held."""

    reason = "RECEIVING_FULL"


class QueueFull(Overloaded):
    """No more trajectories are taken."""

    reason = "QUEUE_FULL"


class QuotaExceeded(Overloaded):
    """The client holds its whole share of the queue."""

    reason = "QUOTA"


class DeadlineUnreachable(Overloaded):
    """The result could not be ready before the client's deadline."""

    reason = "DEADLINE_UNREACHABLE"
    # The deadline is as much closer then as the queue is shorter.
    worth_repeating = False


class Draining(RetryLater):
    """The server is shutting down and takes no new work."""

    reason = "DRAINING"


class Starting(RetryLater):
    """The server is still loading its model."""

    reason = "STARTING"


class DeviceHung(RetryLater):
    """A call of the device does not return; the server is about to end."""

    reason = "DEVICE_HUNG"


class DeviceLost(RetryLater):
    """The device can do nothing more for this process; the server is about to end."""

    reason = "DEVICE_LOST"


class DeadlineExceeded(ServingError):
    """The client's deadline passed while the request waited or ran."""

    reason = "DEADLINE_EXCEEDED"


class ReceiveTimedOut(DeadlineExceeded):
    """The client took too long to send its message."""

    reason = "RECEIVE_TIMEOUT"


class RequestTooLong(DeadlineExceeded):
    """The request took longer than this server lets any."""

    reason = "REQUEST_TOO_LONG"


class NotRead(ServingError):
    """The client left a message unread for too long."""

    reason = "NOT_READ"


class RequestCancelled(ServingError):
    """The client went away."""

    reason = "CANCELLED"


class Unauthenticated(ServingError):
    """There is no token, or it is not known."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(ServingError):
    """The token is known, but not for this."""

    reason = "PERMISSION_DENIED"


class InternalFailure(ServingError):
    """The server failed; the log has the details."""

    reason = "INTERNAL"


class NonFinite(InternalFailure):
    """The network made NaN or infinity."""

    reason = "NON_FINITE"


class BackendFailed(InternalFailure):
    """The network raised, with every backend there is."""

    reason = "BACKEND_FAILED"


class CheckpointError(Exception):
    """A checkpoint cannot be found, read or served; the message says what to do."""
