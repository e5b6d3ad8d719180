"""A server that writes down each of its network calls: `python -m benchmarks.capacity.recorded FILE --model DIR ...`.

A line of FILE is JSON: `network`, `shape`, `rows`, `seconds` of the step and `ended`, by the monotonic clock.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from kandinsky_server.engine.report import StepReport
from kandinsky_server.telemetry import logs
from kandinsky_server.testing.running import Recorder, RunningServer


class Writer(Recorder):
    """An engine observer that writes every report."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self._file = file

    def on_step(self, report: StepReport) -> None:
        step: dict[str, Any] = {"seconds": report.seconds, "ended": time.monotonic(), "rows": report.rows}
        step |= {"network": report.lane.network, "shape": report.lane.shape}
        self._file.write(json.dumps(step) + "\n")


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity.recorded", description=__doc__)
    parser.add_argument("file", type=Path, help="where the calls are written")
    parser.add_argument("--model", type=Path, required=True, help="directory of stage folders")
    for name in ("backend", "device", "dtype"):
        parser.add_argument(f"--{name}", required=True, help="as of `kandinsky serve`")
    for name in ("threads", "max-batch-rows"):
        parser.add_argument(f"--{name}", type=int, required=True, help="as of `kandinsky serve`")
    given = vars(parser.parse_args())
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    # Line by line: who starts this process reads along.
    with (
        given.pop("file").open("w", buffering=1) as file,
        RunningServer(given.pop("model"), **given) as server,
    ):
        # On standard error: nobody reads standard output once this serves, and a full pipe would stop the server.
        logs.configure(server.settings)
        server.app.engine.observers.append(Writer(file))
        print(f"listening on {server.target}", flush=True)
        print(f"serving on {server.target}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
