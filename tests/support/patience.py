"""Waiting for what happens in its own time."""

import time
from collections.abc import Callable

LIMIT_SECONDS = 60


def eventually(holds: Callable[[], bool]) -> None:
    """Returns as soon as ``holds`` does; fails after a minute, which no sound machine needs."""
    limit = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.05)
