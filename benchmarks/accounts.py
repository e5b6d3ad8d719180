"""Reconciles what clients counted with what the server counted, by RPC and code, by RPC and code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.exchange import Answer

Book = Counter[tuple[str, str]]
"""Requests by RPC and code."""

ANSWERABLE = frozenset({"OK", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"})
"""What the server may have counted for a request whose client did not wait for the answer."""


class Accounts:
    """What clients heard, by RPC and code, and how many requests of each RPC they gave up."""

    def __init__(self) -> None:
        self.heard: Book = Counter()
        self.given_up: Counter[str] = Counter()

    def enter(self, answer: Answer) -> None:
        """Books one request."""
        if answer.heard:
            self.heard[answer.rpc, answer.code] += 1
        else:
            self.given_up[answer.rpc] += 1

    def discrepancies(self, counted: Book) -> Iterator[tuple[int, str]]:
        """Where the server's book differs: by how many requests, and a sentence.

        What no client heard must be what clients gave up; the server may have answered those in time or not.
        """
        unheard: Counter[str] = Counter()
        for rpc, code in sorted(counted.keys() | self.heard.keys()):
            more = counted[rpc, code] - self.heard[rpc, code]
            unheard[rpc] += max(0, more)
            if more < 0 or (more > 0 and code not in ANSWERABLE):
                yield abs(more), f"{rpc}: {self.heard[rpc, code]} {code} heard, {counted[rpc, code]} counted"
        for rpc in sorted(unheard.keys() | self.given_up.keys()):
            if unheard[rpc] != self.given_up[rpc]:
                text = f"{rpc}: {self.given_up[rpc]} given up, {unheard[rpc]} counted besides those heard"
                yield abs(unheard[rpc] - self.given_up[rpc]), text
