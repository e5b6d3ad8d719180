"""When to try a call again."""

from __future__ import annotations

import random
import time

from kandinsky_client.errors import (
    DeadlineUnreachableError,
    OverloadedError,
    RpcError,
    TlsError,
    UnavailableError,
)
from kandinsky_client.timeouts import check_timeout

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0


class Retry:
    """The patience of one call: how much of its timeout is left, and how many retries.

    Trying again is safe: a request carries all it needs, and its results depend on nothing but that.

    Args:
        timeout: Seconds for the whole call, retries and waits included; None is no limit.
        retries: The most retries in a row that bring nothing new.

    Raises:
        ValueError: A timeout that is 0, negative or NaN.
    """

    def __init__(self, timeout: float | None, retries: int) -> None:
        timeout = check_timeout(timeout)
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._retries = retries
        self._tried = 0

    def timeout(self) -> float | None:
        """Returns the seconds left, never below 0; None is no limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def begin_anew(self) -> None:
        """Counts retries from here: the last try brought something."""
        self._tried = 0

    def delay_after(self, error: RpcError) -> float:
        """Returns the seconds to wait before the next try, or raises `error` when that cannot help."""
        if self._tried >= self._retries or not _is_transient(error):
            raise error from None
        delay = _jittered(error.retry_delay, self._tried)
        left = self.timeout()
        if left is not None and delay >= left:
            raise error from None
        self._tried += 1
        return delay


def _is_transient(error: RpcError) -> bool:
    if isinstance(error, TlsError):
        return False
    if isinstance(error, UnavailableError):
        return True
    if isinstance(error, DeadlineUnreachableError):  # waiting only brings the same deadline closer
        return False
    # Without RetryInfo it is no queue that is exhausted: grpc says the same of a message over the size limit.
    return isinstance(error, OverloadedError) and error.retry_delay is not None


def _jittered(advised: float | None, tried: int) -> float:
    """Never earlier than advised; spread, so that clients turned away together do not come back together."""
    if advised is not None:
        return advised * random.uniform(1.0, 1.25) + random.uniform(0.0, 0.05)
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0**tried) * random.uniform(0.5, 1.0)
