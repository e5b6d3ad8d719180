"""What the fake server does with each call: a list of steps, written in a case's YAML."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import grpc
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

Step = Mapping[str, Any]
"""One step: a mapping with one key.

| key | what is done |
|---|---|
| `headers` | sends initial metadata: a mapping; without this step it goes with the first message |
| `event` | sends a response with this event, in protobuf's JSON form |
| `message` | sends this response, in protobuf's JSON form |
| `raw` | sends a response of these bytes, in base64 |
| `part` | sends these bytes, in base64, as a message that is a byte longer |
| `wait` | waits so many seconds |
| `hold` | waits until the client has gone, sending nothing |
| `status` | ends the call with a status other than OK; before any message it is trailers-only |
| `http` | ends the call with this HTTP status and no gRPC, as a proxy would |
| `reset` | ends the call with RST_STREAM and this HTTP/2 error code |
| `goaway` | tells the client to make no new call on this connection; running ones go on |
| `cut` | closes the connection |

A call whose steps end by none of these ends with OK.
"""

Script = Sequence[Sequence[Step]]
"""The steps of the first call, of the second, and so on."""

DOMAIN = "kandinsky-grpc.github.io"
SENDING = ("headers", "event", "message", "raw", "part")
KINDS = frozenset((*SENDING, "wait", "hold", "status", "http", "reset", "goaway", "cut"))


def kind_of(step: Step) -> str:
    """Returns the one key of a step.

    Raises:
        ValueError: It has several, or one that there is not.
    """
    (kind, *more) = step
    if more or kind not in KINDS:
        raise ValueError(f"a step has one key of {', '.join(sorted(KINDS))}; not {', '.join(step)}")
    return kind


def message_of(step: Step, response: type[Message]) -> bytes:
    """Returns the serialized response that an `event`, `message` or `raw` step sends."""
    (kind, value), *_ = step.items()
    if kind == "raw":
        return base64.b64decode(value)
    fields = {"event": value} if kind == "event" else value
    return ParseDict(fields, response()).SerializeToString()


def trailers_of(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns a status as gRPC's trailers.

    Args:
        status: `code`, such as "UNAVAILABLE"; `message`; ErrorInfo's `reason`, `metadata` and `domain`; BadRequest's
            `violations` as pairs; RetryInfo's `retry_seconds`; `trailers`, more of them by name. Instead of the
            details that follow from these, `details` gives bytes in base64, and `keep_bytes` cuts them off.
    """
    code = grpc.StatusCode[status["code"]].value[0]
    message = status.get("message", "no")
    trailers = [("grpc-status", str(code)), ("grpc-message", quote(message, safe=" "))]
    details = _details(status)
    packed = status_pb2.Status(code=code, message=message, details=details).SerializeToString()
    if "details" in status:
        packed = base64.b64decode(status["details"])
    if details or "details" in status:
        kept = packed[: status.get("keep_bytes")]
        trailers.append(("grpc-status-details-bin", base64.b64encode(kept).decode().rstrip("=")))
    return trailers + list(status.get("trailers", {}).items())


def _details(status: Mapping[str, Any]) -> list[PackedAny]:
    found: list[Message] = []
    if "reason" in status:
        found.append(
            error_details_pb2.ErrorInfo(
                reason=status["reason"],
                domain=status.get("domain", DOMAIN),
                metadata=status.get("metadata", {}),
            )
        )
    if "violations" in status:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in status["violations"]
        ]
        found.append(error_details_pb2.BadRequest(field_violations=fields))
    if "retry_seconds" in status:
        whole, part = divmod(status["retry_seconds"], 1)
        delay = Duration(seconds=int(whole), nanos=round(part * 1e9))
        found.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return [_packed(detail) for detail in found]


def _packed(detail: Message) -> PackedAny:
    packed = PackedAny()
    packed.Pack(detail)
    return packed
