"""What the fake server saw, in the words of the cases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from conformance.fake_server import Call
from conformance.rpcs import to_dict


def sightings(calls: Sequence[Call]) -> dict[str, Any]:
    """Returns what a case's `saw` is held against.

    | key | meaning |
    |---|---|
    | `calls` | how many came |
    | `same_request` | whether all their requests are equal |
    | `cancelled` | whether the client left the last one before its end |
    | `gaps_seconds` | the seconds between each two |
    | `request` | the first request, in protobuf's JSON form |
    | `last_request` | the last one, likewise |
    | `metadata` | its headers |
    """
    seen: dict[str, Any] = {"calls": len(calls)}
    if calls:
        first = calls[0]
        seen |= {
            "same_request": all(call.request == first.request for call in calls),
            "cancelled": calls[-1].cancelled,
            "gaps_seconds": [later.arrived - earlier.arrived for earlier, later in pairwise(calls)],
            "request": to_dict(first.request),
            "last_request": to_dict(calls[-1].request),
            "metadata": dict(first.metadata),
        }
    return seen
