"""A second, tiny process that ends a server in which no Python runs any more.

A native call that hangs while it holds Python's global lock stops every thread of Python: the watchdog, the event loop
and the handlers of signals. Only another process can tell then. (``faulthandler.dump_traceback_later`` has a thread
that needs no lock, but its clock runs on while a process is stopped, so that it would end one that has just been
continued.)

The server writes beats to a pipe, each a line with the seconds within which the next must come. The second process
runs this file; it ends when the pipe is closed, as it is when the server ends in any way.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import signal
import subprocess
import sys
import time

LOOK_SECONDS = 0.5

KILL_SECONDS = 3.0
"""How long a server may take to write its stacks, which it cannot when nobody reads its standard error."""


class Backstop:
    """Starts the second process; use ``beat`` from then on. It belongs to a process that ends with it."""

    def __init__(self) -> None:
        """Raises OSError where no process can be started."""
        _exit_on_hangup()
        command = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)

    def beat(self, seconds: float) -> None:
        """The next beat comes within ``seconds``, or this process is to be ended."""
        try:
            os.write(self._pipe, f"{seconds}\n".encode())
        except OSError:
            # It was killed, or does not read: a server does without it as well as it did before.
            return


def _exit_on_hangup() -> None:
    """Lets SIGHUP write all stacks and exit with code 1, both in C, without Python's lock.

    A handler is called with the number of its signal, and SIGHUP's is 1: what ``_exit`` is to exit with. Where SIGHUP is
    ignored, as nohup has it, it stays so.
    """
    if signal.getsignal(signal.SIGHUP) != signal.SIG_DFL:
        return
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    libc.signal(signal.SIGHUP, ctypes.cast(libc._exit, ctypes.c_void_p))
    faulthandler.register(signal.SIGHUP, file=sys.stderr, all_threads=True, chain=True)


def watch(server: int) -> None:
    """Ends process ``server`` when its beats on standard input stop. Returns when they end with it."""
    # They are for the server, which says itself when it has ended.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    allowed, silent = float("inf"), 0.0
    while os.getppid() == server:
        if select.select([0], [], [], LOOK_SECONDS)[0]:
            beats = os.read(0, 65536).split()
            if not beats:
                return
            allowed, silent = float(beats[-1]), 0.0
        elif not _is_stopped(server):
            silent += LOOK_SECONDS
        if silent > allowed:
            _end(server, silent)
            return


def _is_stopped(process: int) -> bool:
    """Whether SIGSTOP or a debugger holds it; where the system has no /proc, nobody knows."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


def _end(server: int, silent: float) -> None:
    print(f"kandinsky serve: no Python has run for {silent} s; ending process {server}", file=sys.stderr)
    os.kill(server, signal.SIGHUP)
    limit = time.monotonic() + KILL_SECONDS
    while os.getppid() == server:
        if time.monotonic() > limit:
            os.kill(server, signal.SIGKILL)
            return
        time.sleep(0.05)


if __name__ == "__main__":
    watch(int(sys.argv[1]))
