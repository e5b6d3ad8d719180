"""The application that a Serve config imports as ``kandinsky_server.ray.deployment:application``."""

from __future__ import annotations

from typing import Any

from ray import serve

from kandinsky_server.ray.replica import Replica
from kandinsky_server.ray.settings import settings_of

NAME = "kandinsky"
"""Of the deployment, for a config to override what is set here."""

PLACELESS_CALLS = 32
"""Calls beyond the queue's size that a replica takes: those without a place, and those that it refuses with a reason."""

HEALTH_CHECK_SECONDS = 2.0
"""Serve replaces a replica after three checks that failed."""


def application(args: dict[str, Any]) -> serve.Application:
    """The deployment, with the settings in ``args``.

    Raises:
        ValueError: a setting is unknown, has a value that it cannot have, or is Serve's business.
    """
    settings = settings_of(args)
    deployment = serve.deployment(
        Replica,
        name=NAME,
        max_ongoing_requests=settings.queue_size + PLACELESS_CALLS,
        max_queued_requests=settings.queue_size,
        health_check_period_s=HEALTH_CHECK_SECONDS,
        graceful_shutdown_timeout_s=settings.drain_seconds,
    )
    return deployment.bind(args)
