"""The compiler's process, as whoever waits for its programs sees it."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import IO

from kandinsky_backends.base import BackendUnavailable
from kandinsky_backends.compiler import Order

logger = logging.getLogger(__name__)

_turn = threading.Lock()
"""One at a time: each has as many threads as the machine has cores."""

LOGGED_CHARACTERS = 4000
"""As much as is logged of what a failed compiler said last."""


class CompilerProcess:
    """Compiles one order. `close` is safe from any thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def run(self, order: Order) -> None:
        """Returns when every program of ``order`` is written.

        Raises:
            BackendUnavailable: the process failed, was closed, or could not be started; with what it said last.
        """
        with _turn, tempfile.TemporaryFile() as words:
            try:
                process = self._process = _start(words)
            except OSError as error:
                raise BackendUnavailable(f"A process to compile in cannot be started: {error}.") from error
            if self._closed:
                _kill(process)
            code = _code(process, order)
            if code:
                words.seek(0)
                said = words.read().decode(errors="replace").strip()[-LOGGED_CHARACTERS:]
                logger.warning("the compiler ended with exit code %d: %s", code, said)
                last = said.rpartition("\n")[2]
                raise BackendUnavailable(f"The compiler ended with exit code {code}; it said last: {last}")

    def close(self) -> None:
        """Ends the process, and what it started."""
        self._closed = True
        if self._process:
            _kill(self._process)


def _start(words: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: nothing is imported from the directory that the server was started in.
    command = [sys.executable, "-P", "-m", "kandinsky_backends.compiler"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KANDINSKY_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=words, stderr=words, env=environment, start_new_session=True
    )


def _code(process: subprocess.Popen[bytes], order: Order) -> int:
    """The exit code. The pipe stays open until then: the compiler ends when it is closed, as when this process ends."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(pickle.dumps(order))
        process.stdin.flush()
    code = process.wait()
    with suppress(BrokenPipeError):
        process.stdin.close()
    return code


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
