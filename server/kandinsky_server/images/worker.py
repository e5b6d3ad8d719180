"""The program that decodes pictures: `python -m kandinsky_server.images.worker MEMORY_BYTES PARENT`.

Its standard input is a socket, on which jobs come and results go.
It may be killed at any time. It ends when the server does, however that ends, and can write no file.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import warnings
from typing import Any

from PIL import JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin

from kandinsky_server.images import wire
from kandinsky_server.images.codecs import ImageError
from kandinsky_server.images.job import Fit, Job

DECODERS = (JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin)
"""Imported before the first picture comes: Pillow would look through all its formats then."""

PR_SET_PDEATHSIG = 1
"""Source: prctl(2)"""


def main() -> None:
    """Answers one job after the other until the server closes the socket."""
    memory_bytes, parent = map(int, sys.argv[1:])
    warnings.simplefilter("ignore")
    _die_with(parent)
    _limit(memory_bytes)
    with socket.socket(fileno=os.dup(0)) as server:
        wire.send(server, {"ready": True})
        while True:
            try:
                header, data = wire.receive(server, sys.maxsize)
            except EOFError:
                return
            _answer(server, header, bytes(data))


def _answer(server: socket.socket, header: dict[str, Any], data: bytes) -> None:
    fit = header.pop("fit")
    job = Job(**header, fit=Fit(**fit) if fit else None)
    try:
        result = job.run(data)
    except ImageError as error:
        wire.send(server, {"error": str(error)})
    except MemoryError:
        wire.send(server, {"error": "the image takes too much memory to decode; send a smaller one"})
    else:
        wire.send(server, {"shape": result.shape}, result.data.cast("B"))


def _die_with(parent: int) -> None:
    """Has Linux kill this process with its parent; elsewhere it ends when it reads from the closed socket."""
    if hasattr(libc := ctypes.CDLL(None), "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()


def _limit(memory_bytes: int) -> None:
    """Bounds the memory; no files are written, least of all a core that holds somebody's picture."""
    for kind, amount in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(kind, (amount, amount))


if __name__ == "__main__":
    main()
