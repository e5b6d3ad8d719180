"""`kandinsky serve` on a device that hangs: once a file exists, calls of one network never return.

``python -m benchmarks.attacks.hanging FILE MODULE HOW flags...``, where MODULE is the class of the network's module, such
as ``UnetNetwork``, and HOW is ``waiting``, or ``holding`` Python's global lock so that nothing else of Python runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kandinsky_backends.eager import EagerNetwork
from kandinsky_server.cli import main
from kandinsky_server.diffusion.depth import DepthEstimator
from kandinsky_server.settings import load_settings

HOURS = 3600
"""Seconds of a call that hangs: longer than whoever waits for it."""

HOW: dict[str, Callable[[int], object]] = {
    "waiting": time.sleep,
    # Called without giving up the lock.
    "holding": ctypes.PyDLL(None).sleep,
}


def hang(file: Path, module: str, how: str) -> None:
    """Lets calls of eager networks, and of the depth model, hang."""

    def hanging(kind: Any, name: Callable[[Any], str]) -> None:
        call = kind.__call__

        def wrapped(self: Any, *inputs: Any) -> Any:
            if file.exists() and name(self) == module:
                HOW[how](HOURS)
            return call(self, *inputs)

        kind.__call__ = wrapped

    hanging(EagerNetwork, lambda network: type(network.module).__name__)
    hanging(DepthEstimator, lambda _: "DepthEstimator")
    load = DepthEstimator.load

    def loading(self: DepthEstimator) -> None:
        if file.exists() and module == "load_depth":
            HOW[how](HOURS)
        load(self)

    DepthEstimator.load = loading  # type: ignore[method-assign]


if __name__ == "__main__":
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started this
    when, what, how, *flags = sys.argv[1:]
    hang(Path(when), what, how)
    sys.exit(main(load_settings(flags)))
