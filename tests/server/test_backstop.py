"""The second process: it ends one in which no Python runs, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kandinsky_server import backstop

from tests.support.patience import eventually

SETUP = """
import ctypes, os, signal, sys, time
from kandinsky_server.backstop import Backstop
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started the tests
"""
START = """
backstop = Backstop()
backstop.beat({seconds})
print(backstop._process.pid, flush=True)
"""


@contextmanager
def running(body: str, seconds: float, before: str = "") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that beats once, and the id of its backstop."""
    code = SETUP + before + START.format(seconds=seconds) + body
    environment = {**os.environ, "PYTHONPATH": str(Path(backstop.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_who_holds_pythons_lock_for_too_long_is_ended_with_its_stacks_and_code_1() -> None:
    with running("ctypes.PyDLL(None).sleep(60)", 1) as (process, pid):
        _, errors = process.communicate(timeout=50)
        assert process.returncode == 1
        assert "no Python has run" in errors
        assert 'File "<string>"' in errors
        eventually(lambda: ended(pid))


@pytest.mark.slow
def test_so_is_who_ignores_hangups(tmp_path: Path) -> None:
    """As nohup does."""
    before = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    with running("ctypes.PyDLL(None).sleep(60)", 1, before) as (process, _):
        assert process.wait(50) == -signal.SIGKILL


@pytest.mark.slow
def test_who_was_stopped_goes_on() -> None:
    with running("time.sleep(0.5); backstop.beat(60); time.sleep(1); print('well')", 2) as (process, pid):
        process.send_signal(signal.SIGSTOP)
        time.sleep(5)
        assert not ended(pid)
        process.send_signal(signal.SIGCONT)
        output, errors = process.communicate(timeout=50)
        assert (process.returncode, output, errors) == (0, "well\n", "")


@pytest.mark.parametrize("end", ["os._exit(3)", "sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_it_ends_with_its_process(end: str) -> None:
    with running(end, 600) as (process, pid):
        process.wait(50)
        eventually(lambda: ended(pid))


def test_a_process_lives_on_without_it() -> None:
    body = "os.kill(backstop._process.pid, 9); time.sleep(0.5); backstop.beat(1); print('well')"
    with running(body, 600) as (process, _):
        output, _ = process.communicate(timeout=50)
        assert (process.returncode, output) == (0, "well\n")
