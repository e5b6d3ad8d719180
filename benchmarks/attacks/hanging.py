"""`kandinsky serve` on a device that hangs, or is lost: once a file exists, calls of one network never return, or raise.

``python -m benchmarks.attacks.hanging FILE MODULE HOW flags...``, where MODULE is the class of the network's module, such
as ``UnetNetwork``, or ``queue``: then calls return, and what they launched never ends. HOW is ``waiting``, ``holding``
Python's global lock so that nothing else of Python runs, or ``losing`` the device at the third call.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from kandinsky_backends.eager import EagerNetwork
from kandinsky_server.cli import main
from kandinsky_server.diffusion.depth import DepthEstimator
from kandinsky_server.engine.device import Host
from kandinsky_server.settings import load_settings

HOURS = 3600
"""Seconds of a call that hangs: longer than whoever waits for it."""

_calls = itertools.count(1)


def _lose(_: int) -> None:
    if next(_calls) >= 3:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


HOW: dict[str, Callable[[int], object]] = {
    "waiting": time.sleep,
    # Called without giving up the lock.
    "holding": ctypes.PyDLL(None).sleep,
    "losing": _lose,
}


def hang(file: Path, module: str, how: str) -> None:
    """Lets calls of eager networks and of the depth model, its loading, or the device's queue go wrong."""

    def hanging(kind: Any, method: str, name: Callable[[Any], str]) -> None:
        call = getattr(kind, method)

        def wrapped(self: Any, *inputs: Any) -> Any:
            if file.exists() and name(self) == module:
                HOW[how](HOURS)
            return call(self, *inputs)

        setattr(kind, method, wrapped)

    hanging(EagerNetwork, "__call__", lambda network: type(network.module).__name__)
    hanging(DepthEstimator, "__call__", lambda _: "DepthEstimator")
    hanging(DepthEstimator, "load", lambda _: "load_depth")
    hanging(Host, "wait", lambda _: "queue")


if __name__ == "__main__":
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started this
    when, what, how, *flags = sys.argv[1:]
    hang(Path(when), what, how)
    sys.exit(main(load_settings(flags)))
