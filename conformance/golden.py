"""`python -m conformance.golden` writes `golden/`: each message with every field set, as Python serializes it.

The files are kept: what they hold is what programs of other versions have written. A message that has grown is written
anew.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from conformance.paths import GOLDEN
from conformance.rpcs import REQUESTS, message_class

EVENTS = ("queued", "progress", "preview", "embedding", "image", "chunk", "completed", "checkpoint")
ANSWERS = ("GetServerInfoResponse", "EstimateResponse")
DEEPEST = 6
WIDEST = {
    FieldDescriptor.CPPTYPE_INT32: -(2**31),
    FieldDescriptor.CPPTYPE_INT64: 2**63 - 1,
    FieldDescriptor.CPPTYPE_DOUBLE: 0.1,
    FieldDescriptor.CPPTYPE_BOOL: True,
    FieldDescriptor.CPPTYPE_STRING: "grüner Ball 🟢",
}
"""A value of each type that a careless client would spoil."""


def messages() -> dict[str, Message]:
    """Returns the messages by the names of their files, without suffix."""
    found = {name: filled(message_class(name)()) for name in (*REQUESTS.values(), *ANSWERS)}
    return found | {f"Event.{kind}": filled(message_class("Event")(), {kind}) for kind in EVENTS}


def filled(message: Message, chosen: Set[str] = frozenset(), depth: int = 0) -> Message:
    """Sets every field of a message, and of those within; of a oneof the first, or the one in `chosen`."""
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1:
            names = [each.name for each in oneof.fields]
            if field.name != next((name for name in names if name in chosen), names[0]):
                continue
        if depth < DEEPEST:
            _set(message, field, depth)
    return message


def _set(message: Message, field: Any, depth: int) -> None:
    name = field.name
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key = WIDEST[field.message_type.fields_by_name["key"].cpp_type]
        getattr(message, name)[key] = "1.0"
    elif field.message_type is not None:
        if field.is_repeated:
            filled(getattr(message, name).add(), depth=depth + 1)
        else:
            getattr(message, name).SetInParent()
            filled(getattr(message, name), depth=depth + 1)
    else:
        value = _value(field)
        if field.is_repeated:
            getattr(message, name).extend([value, value])
        else:
            setattr(message, name, value)


def _value(field: Any) -> object:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes(range(256))
    if field.full_name.startswith("google.protobuf.Duration"):
        return {"seconds": 3, "nanos": 500_000_001}[field.name]
    return WIDEST[field.cpp_type]


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for file, content in messages().items():
        (GOLDEN / f"{file}.binpb").write_bytes(content.SerializeToString(deterministic=True))
