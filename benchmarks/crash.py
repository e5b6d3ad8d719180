"""A client in a process of its own that is killed while its request runs.

`python -m benchmarks.crash TARGET CA RPC`: the request comes on standard input, each answer makes a line.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import grpc
from kandinsky_client.rpcs import STREAMS, Request

from benchmarks.exchange import Answer


def crash(target: str, authority: Path, request: Request, patience: int) -> Answer:
    """Sends a request from a client that is killed after ``patience`` messages, or as many as there are."""
    path = STREAMS[type(request)].path
    command = [sys.executable, "-m", "benchmarks.crash", target, str(authority), path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as client:  # type: ignore[call-overload]
        try:
            client.stdin.write(request.SerializeToString())
            client.stdin.close()
            list(islice(client.stdout, patience))
        finally:
            client.kill()
    return Answer(path.rpartition("/")[2], "CANCELLED", False, ())


def main(target: str, authority: str, path: str) -> None:
    """The client."""
    request = sys.stdin.buffer.read()
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(Path(authority).read_bytes())) as channel:
        call: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(path)
        for _ in call(request):
            print(flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
