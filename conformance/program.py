"""A client's program, driven over its standard input and output."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Mapping
from typing import IO, Any, NoReturn, Self

from conformance.clients import ENVIRONMENT, Client

KEPT_LINES = 40
END_SECONDS = 20.0


class ProgramError(Exception):
    """The program died, hung, or wrote something else than its report."""


class Program:
    """Use as a context manager. One that has died is started anew for the next case.

    Args:
        client: Whose.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def carry_out(self, case: Mapping[str, Any], limit_seconds: float) -> dict[str, Any]:
        """Sends a case and returns the report; raises ProgramError."""
        process = self._process or self._start()
        assert process.stdin
        try:
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
            line = self._lines.get(timeout=limit_seconds)
        except queue.Empty:
            self._fail(f"no report within {limit_seconds:g} s")
        except OSError:
            line = None
        if not line:
            code = process.wait()
            self._fail(f"the program ended with {code} before its report")
        return self._report(line, case)

    def finish(self) -> None:
        """Ends the input; a program must then end with 0 by itself.

        Raises:
            ProgramError: It did not.
        """
        if self._process is None:
            return
        assert self._process.stdin
        self._process.stdin.close()
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._fail("the program went on after the end of its input")
        if code:
            self._fail(f"the program ended with {code} at the end of its input")
        self._let_go(self._process)

    def _report(self, line: str, case: Mapping[str, Any]) -> dict[str, Any]:
        try:
            report = json.loads(line)
        except ValueError:
            self._fail(f"a report that is no JSON: {line[:500]!r}")
        if not isinstance(report, dict) or report.get("case") != case["case"]:
            self._fail(f"a report of another case: {line[:500]!r}")
        return report

    def _start(self) -> subprocess.Popen[str]:
        try:
            process = subprocess.Popen(
                self._client.command,
                cwd=self._client.folder,
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise ProgramError(f"{self._client.command[0]} cannot be started: {error}") from error
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._readers = [
            _follow(process.stderr, self._errors.append),
            _follow(process.stdout, self._lines.put),
        ]
        return process

    def _fail(self, message: str) -> NoReturn:
        self._kill()
        errors = "".join(self._errors).rstrip()
        raise ProgramError(f"{message}; its standard error:\n{errors}" if errors else message)

    def _let_go(self, process: subprocess.Popen[str]) -> None:
        process.wait()
        for reader in self._readers:
            reader.join(1)
        with contextlib.suppress(OSError):  # what it did not read
            assert process.stdin
            process.stdin.close()
        self._process = None

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._let_go(self._process)


def _follow(stream: IO[str] | None, take: Any) -> threading.Thread:
    """Reads lines in a thread; the empty one at the end is its sign."""

    def read() -> None:
        assert stream
        with stream:
            for line in stream:
                take(line)
        take("")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread
