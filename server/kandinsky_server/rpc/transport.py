"""The gRPC port: its limits, chosen on purpose, and its encryption."""

from __future__ import annotations

import grpc

from kandinsky_server.settings import Settings, addresses

SEND_BYTES = 2 * 1024 * 1024
"""Most of one response message, as the contract says: chunks are 1 MiB, previews and embeddings are far less."""

METADATA_BYTES = 8 * 1024
"""A token, a request id, a trace and what proxies add fit well; more is refused before anything reads it."""

WINDOW_BYTES = 65535
"""What a call may send before anybody reads it: HTTP/2's own default, where gRPC's is up to 4 MiB and grows."""

KEEPALIVE_MS = 30_000

MIN_PING_MS = 5_000
"""Who pings more often is cut off. gRPC for Go and Java lets its clients ping every 10 s; ours do every minute."""


def options(settings: Settings) -> list[tuple[str, int]]:
    """The arguments of the grpc server."""
    age = settings.max_connection_age_seconds
    ages = [] if age is None else [("grpc.max_connection_age_ms", round(age * 1000))]
    return [
        *ages,
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", SEND_BYTES),
        # A message is looked at before it is decompressed, and read only when there is a place for it.
        ("grpc.per_message_decompression", 0),
        ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
        ("grpc.http2.bdp_probe", 0),
        # Between the two, gRPC would refuse at random, more often the larger it is.
        ("grpc.max_metadata_size", METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES),
        ("grpc.max_concurrent_streams", settings.max_streams),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        # Until TLS is agreed on and the client's HTTP/2 settings have come.
        ("grpc.server_handshake_timeout_ms", round(settings.handshake_seconds * 1000)),
        ("grpc.max_connection_idle_ms", round(settings.idle_seconds * 1000)),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        # Of pings that come while the server is silent, as it is to those who queue; gRPC's default is five minutes.
        ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def bind(server: grpc.aio.Server, settings: Settings) -> int:
    """Opens the port, with TLS where the settings have a certificate; returns its number, which a Unix socket has not.

    Raises:
        OSError: when it cannot be opened, with a sentence that says what to do.
    """
    address = addresses.address(settings.host, settings.port)
    certificates = settings.certificates
    try:
        if certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, certificates.credentials())
    except RuntimeError as error:
        why = addresses.obstacle(settings.host, settings.port) or f"{address} cannot be opened: {error}"
        raise OSError(why) from error
