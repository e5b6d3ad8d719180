"""A client in a process of its own, to be killed: prints each event's kind, and stops reading after ``--stop`` if given.

`python -m tests.faults.lone_client TARGET STEPS SIZE [STOP]`
"""

from __future__ import annotations

import sys
import time

from tests.faults.requests import decode
from tests.server.raw import connected


def main(target: str, steps: str, size: str, stop: str = "") -> None:
    sampling = {"step_count": int(steps), "width_px": int(size), "height_px": int(size), "image_count": 2}
    with connected(target) as raw:
        for event in raw.image_service.Decode(decode(**sampling)):
            kind = event.WhichOneof("event")
            print(kind, flush=True)
            while kind == stop:
                time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
