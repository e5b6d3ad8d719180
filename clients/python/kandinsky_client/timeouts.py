"""What a timeout may be."""

from __future__ import annotations

from numbers import Real

LONGEST_SECONDS = 1e8  # three years; gRPC counts in nanoseconds, and what it cannot count has passed at once


def check_timeout(timeout: float | None, *, zero: bool = False) -> float | None:
    """Returns the seconds, or None for no limit: infinity, and anything beyond three years, is none.

    Args:
        timeout: Seconds, or None.
        zero: Whether 0 has a meaning.

    Raises:
        ValueError: It is negative, NaN, or 0.
        TypeError: It is no number.
    """
    if timeout is None:
        return None
    if not isinstance(timeout, Real) or isinstance(timeout, bool):
        raise TypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}")
    if not (timeout > 0 or (zero and timeout == 0)):  # NaN is neither
        least = "0 or more" if zero else "above 0"
        raise ValueError(f"timeout must be {least} seconds, or None for no limit; not {timeout}")
    return None if timeout > LONGEST_SECONDS else float(timeout)
