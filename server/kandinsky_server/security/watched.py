"""A value made from files, made again when one of them changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""Files are looked at when their value is used, and not more often than this."""

log = logging.getLogger(__name__)


class Watched(Generic[T]):
    """Holds what ``read`` makes of ``files``. Safe from any thread: at worst two of them read at once.

    Raises:
        OSError, ValueError: what ``read`` raises the first time. A later failure is logged once, and the last good
            value stays.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], T]) -> None:
        self._files = files
        self._read = read
        # Noted before reading: a change that comes in between is met at the next look.
        self._seen = self._state()
        self._value = read()
        self._next_look = time.monotonic() + LOOK_SECONDS

    def current(self) -> T:
        """The value of the files as they are, or as they last were good."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look()
        return self._value

    def _look(self) -> None:
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        names = ", ".join(map(str, self._files))
        try:
            self._value = self._read()
        except (OSError, ValueError) as error:
            log.error("%s changed and cannot be used, what was read before stays in force: %s", names, error)
        else:
            log.warning("%s changed and was read again", names)

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_state_of(file) for file in self._files]


def _state_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
