"""Standard output and error, whose readers may be slow, stuck or gone."""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

LAST_SECONDS = 2.0
"""For what is still to be written when the process ends."""


class OutputStream(io.TextIOBase):
    """A text stream that never makes its writer wait or fail: a thread of its own writes to ``descriptor``.

    At most ``max_bytes`` wait to be written. What is beyond is dropped, and so is what the system refuses, as it does
    when nobody reads any more; ``on_drop`` hears of how many lines that were, from any thread.
    """

    def __init__(self, descriptor: int, max_bytes: int, on_drop: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._on_drop = on_drop
        self._texts: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._news = threading.Condition()
        threading.Thread(target=self._run, name="output", daemon=True).start()

    def write(self, text: str) -> int:
        """Takes the text, or drops it when too much is waiting."""
        data = text.encode(errors="backslashreplace")
        with self._news:
            if taken := self._waiting_bytes + len(data) <= self._max_bytes:
                self._texts.append(data)
                self._waiting_bytes += len(data)
                self._news.notify_all()
        if not taken:
            self._on_drop(text.count("\n"))
        return len(text)

    def drain(self, seconds: float) -> None:
        """Returns when all has been written, or after ``seconds``."""
        with self._news:
            self._news.wait_for(lambda: not self._texts, seconds)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._texts)
                data = self._texts[0]
            try:
                self._write(data)
            except OSError:
                self._on_drop(data.count(b"\n"))
            with self._news:
                # Only now, so that `drain` knows of it.
                self._texts.popleft()
                self._waiting_bytes -= len(data)
                self._news.notify_all()

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # whoever started this process made it so
                select.select([], [self._descriptor], [])

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether a person reads."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """For those who write to it by themselves."""
        return self._descriptor


@contextmanager
def never_waiting(max_bytes: int, on_drop: Callable[[int], None]) -> Iterator[None]:
    """Makes ``sys.stdout`` and ``sys.stderr`` an `OutputStream` each; at the end what is left is written."""
    before = sys.stdin, sys.stdout, sys.stderr
    for number, stream in enumerate(before):
        # Python's word for a descriptor that was closed at the start: the next file to be opened would get its number.
        if stream is None:
            _close_off(number)
    sys.stdout, sys.stderr = (OutputStream(descriptor, max_bytes, on_drop) for descriptor in (1, 2))
    try:
        yield
    finally:
        _drain()
        _, sys.stdout, sys.stderr = before


def end_process(code: int) -> NoReturn:
    """Ends the process whatever its threads are doing, once what they have said is written."""
    _drain()
    os._exit(code)


def _close_off(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _drain() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, OutputStream):
            stream.drain(LAST_SECONDS)
