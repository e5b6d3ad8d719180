"""`kandinsky serve` as its users start it: a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

START = [str(Path(sys.executable).with_name("kandinsky")), "serve"]
TINY = (
    "--port=0",
    "--metrics-port=0",
    "--device=cpu",
    "--backend=eager",
    "--threads=1",
    "--max-batch-rows=2",
)


class Process:
    """Use as a context manager. ``output`` and ``errors`` fill up while it runs."""

    def __init__(self, model: Path, *flags: str, **environment: str) -> None:
        self._command = [*START, *TINY, f"--model={model}", *flags]
        self._environment = {**os.environ, **environment}
        self.output: list[str] = []
        self.errors: list[str] = []
        self._news = threading.Condition()
        self._open = 2

    def __enter__(self) -> Self:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(self._command, env=self._environment, **pipes)
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.output), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.wait()

    def _read(self, stream: Any, lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._news:
                    lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._open -= 1
            self._news.notify_all()

    def target(self, state: str) -> str:
        """The address, as soon as the process has printed that it is ``state``: "listening" or "serving"."""
        pattern = re.compile(rf"{state} on (\S+:\d+)")

        def found() -> re.Match[str] | None:
            return next(filter(None, map(pattern.match, self.output)), None)

        with self._news:
            self._news.wait_for(lambda: found() or not self._open, timeout=120)
        match = found()
        assert match, self.errors
        return match[1].rstrip(",")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit code, once everything printed has been read."""
        code = self.process.wait(120)
        for reader in self._readers:
            reader.join(30)
        return code
