"""Directories where backends keep what they compiled. None is needed: without one, the next start compiles again."""

from __future__ import annotations

import functools
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

logger = logging.getLogger(__name__)

ROOM_BYTES = 1024 * 1024

DRAFT_PREFIX = "draft-"
DRAFT_SECONDS = 3600.0
"""A draft older than this was left by a process that was killed."""


@functools.cache
def usable(directory: Path | None) -> Path | None:
    """``directory``, made if need be; None, with one warning, when no file can be kept there."""
    if directory is None:
        return None
    if reason := obstacle(directory):
        warn(directory, reason)
        return None
    return directory


def obstacle(directory: Path) -> str:
    """Why no file of ``ROOM_BYTES`` can be kept in ``directory``, which is made; empty when one can."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory) as file:
            file.write(bytes(ROOM_BYTES))
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


@contextmanager
def draft(directory: Path) -> Iterator[Path]:
    """A directory within ``directory`` for files that are moved once they are whole; then it is removed."""
    for old in directory.glob(f"{DRAFT_PREFIX}*"):
        with suppress(OSError):  # another process removes it too
            if time.time() - old.stat().st_mtime > DRAFT_SECONDS:
                shutil.rmtree(old)
    with TemporaryDirectory(prefix=DRAFT_PREFIX, dir=directory) as name:
        yield Path(name)


def warn(directory: Path, reason: object) -> None:
    """Says that the next start will compile again."""
    logger.warning("Compiled networks are not kept in %s: %s.", directory, reason)
