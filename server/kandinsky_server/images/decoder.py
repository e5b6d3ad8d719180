"""One worker process, as the server sees it."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np

from kandinsky_server.diffusion.pixels import Bytes
from kandinsky_server.images import wire
from kandinsky_server.images.codecs import ImageError
from kandinsky_server.images.job import Job

START_SECONDS = 60.0
"""A worker takes a fifth of a second to start; more where the machine has no time for it."""

OWN_BYTES = 256 * 1024 * 1024
BYTES_A_PIXEL = 32
"""A worker's address space: Python, numpy and Pillow, and the copies of a picture that decoding may need at once."""

INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What Python may need of the environment to start; the rest, such as tokens, is not for a worker."""

ENVIRONMENT = {
    # Room for a large picture is given back as soon as it is free, that for small ones is used again.
    "MALLOC_MMAP_THRESHOLD_": str(4 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

log = logging.getLogger(__name__)


class DecoderFailed(Exception):
    """No worker can be started."""


class Decoder:
    """A process that decodes one picture at a time, killed and replaced when that takes over ``seconds``.

    Pictures have at most ``max_pixels``, those that come in and those that are made of them. Used by one thread at a
    time, but for `close`; a process that a thread started ends with the thread.
    """

    def __init__(self, max_pixels: int, seconds: float) -> None:
        self.max_pixels = max_pixels
        self.seconds = seconds
        self.process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def start(self) -> None:
        """Starts the process and waits until it can decode.

        Raises:
            DecoderFailed: it cannot be started.
        """
        self._spawn()
        self._wait_until_ready()

    def decode(self, job: Job, data: bytes) -> Bytes:
        """What ``job`` makes of the bytes.

        Raises:
            ImageError: the bytes are no acceptable image, take too long, or end the process.
            DecoderFailed: no process can be started.
        """
        if self.process is None or self.process.poll() is not None:
            # Not this picture's fault: it ended since the last one, or could not be started.
            self._end()
            self._spawn()
        self._wait_until_ready()
        try:
            return self._exchange(job, data)
        except ImageError:
            raise
        except TimeoutError:
            self._replace()
            raise ImageError(
                f"the image took more than {self.seconds:g} s to decode; send a smaller one, or save it as a plain PNG "
                "or baseline JPEG"
            ) from None
        except Exception as error:
            log.warning("a worker's decoding ended with %r, exit code %s", error, self._end())
            self._replace()
            raise ImageError("the image ended its decoder; save it anew with another program") from None

    def close(self) -> None:
        """Ends the process, at once and for good. Safe from any thread."""
        self._closed = True
        self._end()

    def _exchange(self, job: Job, data: bytes) -> Bytes:
        deadline = time.monotonic() + self.seconds
        self._socket.settimeout(self.seconds)
        wire.send(self._socket, dataclasses.asdict(job), data)
        header, body = wire.receive(self._socket, job.max_bytes, deadline)
        if "error" in header:
            raise ImageError(str(header["error"]))
        shape = tuple(map(int, header["shape"]))
        if not job.accepts(shape):
            raise ValueError(f"a picture of shape {shape}")
        return np.frombuffer(body, np.uint8).reshape(shape)

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        memory = OWN_BYTES + BYTES_A_PIXEL * self.max_pixels
        # -P: nothing is imported from the directory that the server was started in.
        command = [
            sys.executable,
            "-P",
            "-m",
            "kandinsky_server.images.worker",
            str(memory),
            str(os.getpid()),
        ]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={name: os.environ[name] for name in INHERITED if name in os.environ} | ENVIRONMENT,
                # A terminal's Ctrl-C is for the server, which ends its workers when it is done with them.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise DecoderFailed(f"a process to decode pictures cannot be started: {error}") from error
        finally:
            theirs.close()
        self._socket, self._ready = ours, False
        if self._closed:
            self._end()

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        try:
            wire.receive(self._socket, 0, time.monotonic() + START_SECONDS)
        except Exception as error:
            raise DecoderFailed(
                f"a process to decode pictures does not start: exit code {self._end()}"
            ) from error
        self._ready = True

    def _replace(self) -> None:
        """A new process in place of this one; it gets ready while nobody waits for it."""
        self._end()
        if self._closed:
            return
        try:
            self._spawn()
        except DecoderFailed as error:
            log.error("%s", error)

    def _end(self) -> int | None:
        """Kills the process unless it has ended; returns its exit code, negative for a signal."""
        process = self.process
        if process is None:
            return None
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        self._socket.close()
        return code
