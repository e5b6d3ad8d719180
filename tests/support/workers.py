"""The processes that decode a running server's pictures, held still by the operating system."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from kandinsky_server.images.decoder import Decoder
from kandinsky_server.images.decoders import Decoders
from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually


def tell(worker: Decoder, number: int) -> None:
    """Sends a signal to a worker."""
    assert worker.process
    os.kill(worker.process.pid, number)


def was_sent_a_picture(worker: Decoder) -> bool:
    """Whether there are bytes that a worker, which is held still, has not read. Source: ioctl(2), SIOCOUTQ."""
    (unread,) = struct.unpack("i", fcntl.ioctl(worker._socket, termios.TIOCOUTQ, bytes(4)))
    return bool(unread)


@contextmanager
def still(server: RunningServer) -> Iterator[Decoders]:
    """Whatever is being decoded stays so to the end of the block."""
    decoders = server.app.decoders
    eventually(lambda: not decoders.busy)
    for worker in decoders.workers:
        # One that an earlier test ended is replaced when it is needed, which would be too late.
        if worker.process is None or worker.process.poll() is not None:
            worker._replace()
        # One that has just taken another's place says so when it is ready.
        if not worker._ready:
            select.select([worker._socket], [], [], 60)
        tell(worker, signal.SIGSTOP)
    try:
        yield decoders
    finally:
        for worker in decoders.workers:
            tell(worker, signal.SIGCONT)
