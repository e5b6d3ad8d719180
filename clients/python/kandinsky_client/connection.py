"""Where a client's server is and how to speak to it: the same for both clients."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypedDict, Unpack

import grpc

from kandinsky_client.call_metadata import Metadata, bearer, check_metadata
from kandinsky_client.options import CallOptions, Priority, request_options
from kandinsky_client.retry import Retry
from kandinsky_client.rpcs import Request
from kandinsky_client.timeouts import check_timeout
from kandinsky_client.tls import Tls

DEFAULT_TARGET = "localhost:50051"
DRAWN_SEEDS = 2**32

# An answer's messages stay near 1 MiB by contract; the room above is for servers with other limits, and still
# bounds what a stray server can make this process hold. What may be sent is the server's to limit.
MAX_RECEIVE_BYTES = 64 * 2**20
CHANNEL_OPTIONS = [
    ("grpc.primary_user_agent", f"kandinsky-client-python/{version('kandinsky-client')}"),
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ("grpc.max_send_message_length", -1),
    # A request may wait in the queue without a word for longer than NAT tables and proxies remember.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A restarted server is found again in seconds, not in gRPC's default of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # In spite of its name, how long one attempt may take: TLS over a long way, or a certificate that is being changed.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


class ClientOptions(TypedDict, total=False):
    """How a client speaks to its server.

    Args:
        timeout: Seconds for each call, above 0, retries and waits included. Default None, as infinity: no limit.
        token: Sent as "authorization: Bearer ...", on an unencrypted channel too. Printable ASCII.
        tls: True (the system's roots) or a `Tls`. Default False: unencrypted.
        priority: The default of calls that give none.
        metadata: gRPC metadata of every call.
        retries: The most retries of a call that the server turned away or that did not reach it. Default 5.
    """

    timeout: float | None
    token: str | None
    tls: Tls | bool
    priority: Priority | None
    metadata: Metadata
    retries: int


@dataclass(frozen=True)
class Connection:
    """A target and `ClientOptions`.

    Raises:
        ValueError: A target, timeout, token, metadata or number of retries that cannot be.
        TypeError: One of another type.
    """

    target: str = DEFAULT_TARGET
    timeout: float | None = None
    token: str | None = field(default=None, repr=False)
    tls: Tls | bool = False
    priority: Priority | None = None
    metadata: Metadata = ()
    retries: int = 5

    def __post_init__(self) -> None:
        if re.match("https?://", self.target):
            raise ValueError(f"target must be an address such as {DEFAULT_TARGET}, not the URL {self.target}")
        if not isinstance(self.tls, Tls | bool):
            raise TypeError(f"tls must be True, False or a Tls, not {type(self.tls).__name__}")
        if self.retries < 0:
            raise ValueError(f"retries must be 0 or more, not {self.retries}")
        check_timeout(self.timeout)
        # Also when they come from an iterator: every call sends them.
        object.__setattr__(self, "metadata", check_metadata(self.metadata))
        bearer(self.token)
        request_options(CallOptions(priority=self.priority))

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Returns TLS credentials; None is an unencrypted channel."""
        if isinstance(self.tls, Tls):
            return self.tls.credentials()
        return Tls().credentials() if self.tls else None

    def call_metadata(self, options: CallOptions) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the token and the client's metadata, then the call's; raises as the class does."""
        return (*bearer(self.token), *self.metadata, *check_metadata(options.get("metadata")))

    def retry(self, options: CallOptions) -> Retry:
        """Starts the clock of one call."""
        timeout = options.get("timeout")
        return Retry(self.timeout if timeout is None else timeout, self.retries)

    def fill(self, request: Request, **defaults: Unpack[CallOptions]) -> None:
        """Sets what the caller left unset in `request`: the client's priority, a seed, and `defaults`.

        The seed is drawn here and not by the server, so that a call that is tried again is the same call.
        """
        if not request.sampling.HasField("seed"):
            request.sampling.seed = secrets.randbelow(DRAWN_SEEDS)
        options = request_options(CallOptions(priority=self.priority, **defaults))
        options.MergeFrom(request.options)
        request.options.CopyFrom(options)
