"""Holds a report against what a case expects.

A mapping names the keys that count: each must match, others may be there. A list must match item by item. `null` is a
key that is not there, or null. Any other value must be equal. A mapping with one of these keys alone is a matcher:

| matcher | matches |
|---|---|
| `range: [least, most]` | a number between, both included |
| `one_of: [...]` | a value that matches one of them |
| `starts_with: text`, `contains: text` | a text |
| `length: n` | a list or text of so many |
| `has: [...]` | a list that has something that matches each of them, in any order |
| `collapsed: [...]` | a list in which repetitions in a row count as one: the order of events |
| `any: true` | a value that is there, whatever it is |
| `same_as: python` | what Python's report has at this place, in a list of results that of the same index |
| `message_of: name` | a serialized message of this name that equals `value`, or whose JSON form matches `parsed` |
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from google.protobuf.message import DecodeError

from conformance.rpcs import message_class, to_dict

MATCHERS = frozenset(
    (
        "range",
        "one_of",
        "starts_with",
        "contains",
        "length",
        "has",
        "collapsed",
        "any",
        "same_as",
        "message_of",
    )
)


def differences(expected: Any, actual: Any, python: Any = None, place: str = "") -> Iterator[str]:
    """Yields a sentence for each place where `actual` is not as expected.

    Args:
        expected: What a case says.
        actual: What a report has.
        python: What Python's report has at the same place.
        place: What to call it.
    """
    if isinstance(expected, Mapping) and MATCHERS & expected.keys():
        if not _matches(expected, actual, python):
            shown = f"Python's {_shown(python)}" if "same_as" in expected else _shown(expected)
            yield f"{place} is {_shown(actual)}, not {shown}"
    elif isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            yield f"{place} is {_shown(actual)}, not {_shown(expected)}"
            return
        for key, value in expected.items():
            theirs = python.get(key) if isinstance(python, Mapping) else None
            yield from differences(value, actual.get(key), theirs, f"{place}.{key}".lstrip("."))
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        if not isinstance(actual, list) or len(actual) != len(expected):
            yield f"{place} is {_shown(actual)}, not {len(expected)} of {_shown(expected)}"
            return
        for index, (value, item) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(value, item, _counterpart(item, index, python), f"{place}[{index}]")
    elif not _equal(expected, actual):
        yield f"{place} is {_shown(actual)}, not {_shown(expected)}"


def _counterpart(item: Any, place: int, python: Any) -> Any:
    """Python's for an item of a list: the result of the same index, as they come in any order; others by their place."""
    if not isinstance(python, list):
        return None
    if isinstance(item, Mapping) and "index" in item:
        found = (each for each in python if isinstance(each, Mapping) and each.get("index") == item["index"])
        return next(found, None)
    return python[place] if place < len(python) else None


def _matches(matcher: Mapping[str, Any], actual: Any, python: Any) -> bool:
    if "message_of" in matcher:
        return _same_message(matcher, actual)
    ((kind, value),) = matcher.items()
    match kind:
        case "range":
            return _is_number(actual) and value[0] <= actual <= value[1]
        case "one_of":
            return any(not list(differences(each, actual, python)) for each in value)
        case "starts_with":
            return isinstance(actual, str) and actual.startswith(value)
        case "contains":
            return isinstance(actual, str) and value in actual
        case "length":
            return isinstance(actual, list | str) and len(actual) == value
        case "has":
            return isinstance(actual, list) and all(
                any(not list(differences(each, item)) for item in actual) for each in value
            )
        case "collapsed":
            return isinstance(actual, list) and [key for key, _ in groupby(actual)] == value
        case "any":
            return actual is not None
        case _:  # same_as
            return actual is not None and _equal(python, actual)


def _same_message(matcher: Mapping[str, Any], actual: Any) -> bool:
    kind = message_class(matcher["message_of"])
    try:
        message = kind.FromString(base64.b64decode(actual or ""))
    except (DecodeError, ValueError):
        return False
    if "parsed" in matcher:
        return actual is not None and not list(differences(matcher["parsed"], to_dict(message)))
    return message == kind.FromString(base64.b64decode(matcher["value"]))


def _equal(expected: Any, actual: Any) -> bool:
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return bool(expected == actual)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
