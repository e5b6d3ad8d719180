"""Where a client's server is and how to speak to it: the same for both clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TypedDict, Unpack

import grpc

from kandinsky_client.options import CallOptions, Metadata, Priority, request_options
from kandinsky_client.retry import Retry
from kandinsky_client.rpcs import Request

DEFAULT_TARGET = "localhost:50051"
Pem = bytes | str | PathLike[str]

# An answer's messages stay near 1 MiB by contract; the room above is for servers with other limits, and still
# bounds what a stray server can make this process hold. What may be sent is the server's to limit.
MAX_RECEIVE_BYTES = 64 * 2**20
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ("grpc.max_send_message_length", -1),
    # A request may wait in the queue without a word for longer than NAT tables and proxies remember.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A restarted server is found again in seconds, not in gRPC's default of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


@dataclass(frozen=True)
class Tls:
    """How to trust the server, and how to be trusted by it. PEM, as bytes or as the path of a file.

    Args:
        root_certificates: Whom to trust; None is the system's roots.
        client_certificate: This client's certificate chain, for mutual TLS.
        client_key: Its private key.
    """

    root_certificates: Pem | None = None
    client_certificate: Pem | None = None
    client_key: Pem | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files.

        Raises:
            OSError: One of them can not be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.root_certificates),
            private_key=_read(self.client_key),
            certificate_chain=_read(self.client_certificate),
        )


class ClientOptions(TypedDict, total=False):
    """How a client speaks to its server.

    Args:
        timeout: Seconds for each call, retries and waits included. Default None: no limit.
        token: Sent as "authorization: Bearer ...", on an unencrypted channel too.
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
    """A target and `ClientOptions`."""

    target: str = DEFAULT_TARGET
    timeout: float | None = None
    token: str | None = field(default=None, repr=False)
    tls: Tls | bool = False
    priority: Priority | None = None
    metadata: Metadata = ()
    retries: int = 5

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Returns TLS credentials; None is an unencrypted channel."""
        if isinstance(self.tls, Tls):
            return self.tls.credentials()
        return Tls().credentials() if self.tls else None

    def call_metadata(self, options: CallOptions) -> tuple[tuple[str, str], ...]:
        """Returns the client's metadata, then the call's."""
        bearer = (("authorization", f"Bearer {self.token}"),) if self.token else ()
        return (*bearer, *self.metadata, *options.get("metadata", ()))

    def retry(self, options: CallOptions) -> Retry:
        """Starts the clock of one call."""
        timeout = options.get("timeout")
        return Retry(self.timeout if timeout is None else timeout, self.retries)

    def fill(self, request: Request, **defaults: Unpack[CallOptions]) -> None:
        """Sets what the caller left unset in `request`: the client's priority, and `defaults`."""
        options = request_options(CallOptions(priority=self.priority, **defaults))
        options.MergeFrom(request.options)
        request.options.CopyFrom(options)


def _read(pem: Pem | None) -> bytes | None:
    return pem if pem is None or isinstance(pem, bytes) else Path(pem).read_bytes()
