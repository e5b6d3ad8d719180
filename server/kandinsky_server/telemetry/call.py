"""The call being served: made by the interceptor, read by handlers, logged at the end."""

from __future__ import annotations

import re
import secrets
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from kandinsky_server.engine.ticket import Ticket

REQUEST_ID_KEY = "x-request-id"
"""Metadata that carries the request id: the client's own is kept, and the id always comes back as trailing metadata.

It comes before the first message as initial metadata too. A refused call has none: its answer is to be trailers-only.
"""

TRACE_CONTEXT_KEYS = ("traceparent", "tracestate")
"""Metadata that says of which trace a call is part: W3C Trace Context."""

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

current: ContextVar[Call] = ContextVar("current_call")


@dataclass
class Call:
    """One RPC under way. ``images`` and ``embeddings`` count what has been sent.

    ``received`` is closed as soon as nothing needs the message any more. ``texts`` is empty unless prompts are to be
    logged. ``trace_context`` is the client's place in a trace, if it has one.
    """

    rpc: str
    ticket: Ticket
    first_event: float | None = None
    images: int = 0
    embeddings: int = 0
    received: ExitStack = field(default_factory=ExitStack)
    texts: dict[str, Any] = field(default_factory=dict)
    trace_context: dict[str, str] = field(default_factory=dict)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the client is told of the call besides its answer."""
        return ((REQUEST_ID_KEY, self.ticket.request_id),)


def request_id(given: str | None) -> str:
    """The client's id when it is short and plain, else a new one: ids end up in logs and headers."""
    return given if given and _SAFE_ID.fullmatch(given) else secrets.token_hex(8)
