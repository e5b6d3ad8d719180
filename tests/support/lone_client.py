"""A client in a process of its own, to be killed. It prints what happens, and stops reading after STOP if given.

`python -m tests.support.lone_client TARGET RPC STEPS SIZE [STOP]`, RPC being Decode or Generate
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kandinsky_api.v1 import image_pb2
from kandinsky_api.v1 import types_pb2 as pb

from tests.support.raw import Raw, connected
from tests.support.requests import decode


def main(target: str, rpc: str, steps: str, size: str, stop: str = "") -> None:
    with connected(target) as raw:
        for response in start(raw, rpc, int(steps), int(size)):
            event = response.event
            kind = event.WhichOneof("kind")
            print(kind, flush=True)
            if kind == "progress":
                print(f"{event.progress.stage} {event.progress.step}", flush=True)
            while kind == stop:
                time.sleep(1)


def start(raw: Raw, rpc: str, steps: int, size: int) -> Any:
    """Two images of so many steps; Generate takes as many in the prior, for a prompt that nobody else has."""
    request = decode(step_count=steps, width_px=size, height_px=size, image_count=2)
    if rpc == "Decode":
        return raw.image_service.Decode(request)
    options: dict[str, Any] = {"sampling": request.sampling, "output": request.output}
    prompt = f"a cat {os.getpid()}"
    return raw.image_service.Generate(
        image_pb2.GenerateRequest(
            prompts=[prompt], prior_sampling=pb.PriorSampling(step_count=steps), **options
        )
    )


@contextmanager
def lone_client(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.lone_client", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], mark: str) -> None:
    """Returns at an event of this kind, or at this step of a stage or a later one: a client may miss steps."""
    assert process.stdout
    wanted, least = _parts(mark)
    reached = (_parts(line) for line in process.stdout)
    assert any(what == wanted and step >= least for what, step in reached), (
        f"the stream ended before {mark!r}"
    )


def _parts(line: str) -> tuple[str, int]:
    what, _, step = line.strip().partition(" ")
    return what, int(step or 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
