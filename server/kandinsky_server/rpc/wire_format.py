"""Looks at a message before it is parsed: protobuf's parser makes an object of every two bytes if a message says so.

The wire format is that of https://protobuf.dev/programming-guides/encoding. Nothing is made here, and nothing read
further than to the first thing that no request needs.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kandinsky_server.errors import InvalidField, Violation

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10

WIDTHS = {
    FieldDescriptor.TYPE_DOUBLE: 8,
    FieldDescriptor.TYPE_FIXED64: 8,
    FieldDescriptor.TYPE_SFIXED64: 8,
    FieldDescriptor.TYPE_FLOAT: 4,
    FieldDescriptor.TYPE_FIXED32: 4,
    FieldDescriptor.TYPE_SFIXED32: 4,
}
"""Bytes of one value in a packed field. Every other number has one at least."""

NAMED = (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING)
"""Of these each is named when there are several; of numbers only the field."""

OPAQUE = (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_GROUP)


@dataclass(frozen=True)
class Bounds:
    """What no honest request exceeds: fields and packed values in all, and characters of one text."""

    values: int
    text_length: int

    @property
    def text_bytes(self) -> int:
        """Of the longest text: a character has four at most."""
        return 4 * self.text_length


def check(data: bytes, kind: Descriptor, bounds: Bounds) -> None:
    """Takes time for ``bounds.values`` fields at most, however long ``data`` is.

    Raises:
        InvalidField: there are more of them, or a longer text, or this is no message.
    """
    # Each field has two bytes at least, each packed value one.
    if len(data) > min(bounds.values, bounds.text_bytes):
        _Walk(data, bounds).message(0, len(data), kind, "")


class _Walk:
    """Counts while it goes from field to field."""

    def __init__(self, data: bytes, bounds: Bounds) -> None:
        self.data = data
        self.bounds = bounds
        self.left = bounds.values

    def message(self, at: int, end: int, kind: Descriptor, path: str) -> None:
        """The fields from ``at`` to ``end``; ``path`` ends with a dot unless it is empty."""
        fields, places = _fields(kind), Counter[int]()
        while at < end:
            tag, at = self._varint(at, end)
            field = fields.get(tag >> 3)
            name = f"{path}{field.name}" if field else path.removesuffix(".")
            if field and field.is_repeated and field.type in NAMED:
                name += f"[{places[field.number]}]"
                places[field.number] += 1
            self._count(1, name)
            match tag & 7:
                case 0:
                    _, at = self._varint(at, end)
                case 1:
                    at += 8
                case 5:
                    at += 4
                case 2:
                    size, at = self._varint(at, end)
                    if at + size > end:
                        raise malformed("it is cut short")
                    if field is not None:
                        self._content(at, at + size, field, name)
                    at += size
                case _:
                    raise malformed("it has groups, which the contract has not")
        if at > end:
            raise malformed("it is cut short")

    def _content(self, at: int, end: int, field: FieldDescriptor, name: str) -> None:
        """What a field with a length holds: a message, a text, bytes, or packed numbers."""
        if field.message_type is not None:
            self.message(at, end, field.message_type, f"{name}.")
        elif field.type == FieldDescriptor.TYPE_STRING:
            if end - at > self.bounds.text_bytes:
                text = f"must have at most {self.bounds.text_length} characters, not {end - at} bytes of text"
                raise InvalidField([Violation(name, text)])
        elif field.type not in OPAQUE:
            self._count((end - at) // WIDTHS.get(field.type, 1), name)

    def _count(self, values: int, name: str) -> None:
        self.left -= values
        if self.left < 0:
            text = f"with this the request has more than {self.bounds.values} fields and values; none needs so many"
            raise InvalidField([Violation(name, text)])

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """A number, and where the next byte is."""
        value = 0
        for place in range(min(LONGEST_VARINT, end - at)):
            byte = self.data[at + place]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value, at + place + 1
        raise malformed("a number has no end")


def malformed(why: str) -> InvalidField:
    """What bytes that are no message of the contract get."""
    return InvalidField([Violation("", f"the request is not what the contract says: {why}")])


@functools.cache
def _fields(kind: Descriptor) -> Mapping[int, FieldDescriptor]:
    return {field.number: field for field in kind.fields}
