"""Makes request messages, so that a wrong value is told by the argument's name and not in protobuf's words."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

MessageT = TypeVar("MessageT", bound=Message)
_INTEGER_BITS = {FieldDescriptor.TYPE_INT32: 32, FieldDescriptor.TYPE_INT64: 64}


def build(kind: type[MessageT], prefix: str = "", /, **values: Any) -> MessageT:
    """Makes a message; what is None stays unset. Arguments are named as the fields are, after `prefix`.

    Raises:
        TypeError: A value of the wrong type.
        ValueError: A number that the field cannot hold, a name that its enum does not have, or no text.
    """
    fields: Mapping[str, Any] = kind.DESCRIPTOR.fields_by_name
    given = {name: value for name, value in values.items() if value is not None}
    named = {name.removeprefix(prefix): name for name in given}
    return kind(**{field: _value(fields[field], name, given[name]) for field, name in named.items()})


def texts(name: str, value: str | Iterable[str]) -> list[str]:
    """Takes one text or several; raises TypeError for anything else."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a str or several, not {type(value).__name__}")
    return list(value)


def _value(field: FieldDescriptor, name: str, value: Any) -> Any:
    if field.message_type:
        return value
    if field.is_repeated:
        return [_scalar(field, f"{name}[{place}]", item) for place, item in enumerate(value)]
    return _scalar(field, name, value)


def _scalar(field: FieldDescriptor, name: str, value: Any) -> Any:
    if field.enum_type:
        return _enum_value(field.enum_type, name, value)
    if field.type in _INTEGER_BITS:
        return _integer(name, value, _INTEGER_BITS[field.type])
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _number(name, value)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(name, value)
    if field.type == FieldDescriptor.TYPE_BOOL and not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def _integer(name: str, value: Any, bits: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        most = "2**63 - 1" if bits == 64 else "what the server's limits say (info)"
        shown = f"{number}" if abs(number) < 10**40 else f"a number of {number.bit_length()} bits"
        raise ValueError(f"{name} must not be negative, and at most {most}; not {shown}")
    return number


def _number(name: str, value: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is too large for a float; give a smaller number") from None


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} holds {value[error.start]!r} at {error.start}, which is no character; "
            "was it read from a terminal or file that is not UTF-8?"
        ) from None
    return value


def _enum_value(enum: EnumDescriptor, name: str, value: Any) -> int:
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    known: dict[str, int] = {v.name.removeprefix(prefix).lower(): v.number for v in enum.values if v.number}
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    return known[value]
