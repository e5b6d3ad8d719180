"""The settings of a replica: those of `kandinsky serve`, but for what Serve does itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kandinsky_server.settings import Settings

SERVES_OWN = frozenset(
    {
        "check",
        "config",
        "handshake_seconds",
        "host",
        "idle_seconds",
        "insecure",
        "log_buffer_bytes",
        "max_connection_age_seconds",
        "max_connections",
        "max_streams",
        "port",
        "reflection",
        "tls_certificate",
        "tls_client_ca",
        "tls_key",
        "write_timeout_seconds",
    }
)


def settings_of(arguments: Mapping[str, Any]) -> Settings:
    """The settings that an application's ``args`` and the environment (KANDINSKY_*) make together.

    Metrics are served only where ``metrics_port`` is among the arguments: replicas of one node cannot share a port.

    Raises:
        ValueError: a setting is unknown, has a value that it cannot have, or is Serve's business.
    """
    if wrong := sorted(SERVES_OWN & arguments.keys()):
        raise ValueError(
            f"args: {', '.join(wrong)} would do nothing: Ray Serve has the port and its connections"
        )
    return Settings(**{"port": 0, "metrics_port": None, **arguments})
