"""Reading files that somebody may have put something else in the place of."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 1024 * 1024
"""Of a file of settings, tokens or certificates: thousands of entries fit."""


def read_small(file: Path) -> bytes:
    """The content of a regular file, or of what a link to one leads to.

    Never waits for a writer, as a FIFO would have it, and never reads more than `MOST_BYTES`.

    Raises:
        ValueError: it cannot be read, is no regular file or too large; the message names it.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError(f"{file} is no regular file")
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise ValueError(f"{file} has more than {MOST_BYTES} bytes")
    return content
