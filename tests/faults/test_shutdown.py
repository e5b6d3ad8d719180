"""Real processes that are told to end, or killed, while many clients are being served."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from kandinsky_server.testing.calls import ENDLESS

from tests.support.patience import eventually
from tests.support.process import Process
from tests.support.raw import Answer, Raw, connected, rest
from tests.support.requests import decode, pixels

pytestmark = pytest.mark.slow

CLIENTS = 16


@contextmanager
def crowd(target: str) -> Iterator[list[Raw]]:
    """Clients with a connection each."""
    with ExitStack() as stack:
        own = [("grpc.use_local_subchannel_pool", 1)]
        channels = [stack.enter_context(grpc.insecure_channel(target, own)) for _ in range(CLIENTS)]
        yield [Raw(channel) for channel in channels]


def taken_in(raw: Raw, seed: int, step_count: int) -> grpc.Call:
    """A Decode that the server has admitted."""
    call = raw.image_service.Decode(decode(seed, step_count=step_count))
    assert next(call).event.WhichOneof("kind") == "queued"
    return call


def until_refused(raw: Raw, seed: int) -> list[Answer]:
    """Asks again and again; the last answer is the first that is none."""
    answers = [raw.call("Decode", decode(seed, step_count=3))]
    while answers[-1].code == StatusCode.OK:
        answers.append(raw.call("Decode", decode(seed, step_count=3)))
    return answers


def test_sigterm_under_load_finishes_what_was_taken_in_and_turns_the_rest_away(decoder: Path) -> None:
    with (
        Process(decoder, "--drain-seconds=300", "--max-batch-rows=16") as server,
        crowd(server.target("serving")) as clients,
        ThreadPoolExecutor(2 * CLIENTS) as threads,
    ):
        busy = [threads.submit(until_refused, raw, seed) for seed, raw in enumerate(clients)]
        running = [taken_in(raw, seed, 20) for seed, raw in enumerate(clients)]
        server.terminate()
        ends = [threads.submit(rest, call) for call in running]
        assert {end.result().kinds[-1] for end in ends} == {"completed"}
        asked = [answer for loop in busy for answer in loop.result()]
        assert server.wait() == 0
    assert {answer.kinds[-1] for answer in asked if answer.code == StatusCode.OK} <= {"completed"}
    refused = [answer for answer in asked if answer.code != StatusCode.OK]
    assert {answer.code for answer in refused} == {StatusCode.UNAVAILABLE}
    # Those who came after the port was closed have heard nothing from the server at all.
    assert {answer.reason for answer in refused} <= {"DRAINING", ""}
    assert not [line for line in server.errors if "Traceback" in line]


def test_a_second_signal_cuts_the_drain_short(decoder: Path) -> None:
    with (
        Process(decoder, "--drain-seconds=86400") as server,
        crowd(server.target("serving")) as clients,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        running = [taken_in(raw, seed, ENDLESS) for seed, raw in enumerate(clients)]
        server.terminate()
        eventually(lambda: clients[0].serving() == "NOT_SERVING")
        server.process.send_signal(signal.SIGINT)
        answers = list(threads.map(rest, running))
        assert server.wait() == 0
    assert {(answer.code, answer.reason) for answer in answers} == {(StatusCode.UNAVAILABLE, "DRAINING")}
    assert all(answer.retry_seconds for answer in answers)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def written(directory: Path) -> dict[str, Any]:
    """When each file below ``directory`` was last written, in nanoseconds."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    return {str(file): file.stat().st_mtime_ns for file in files}


def test_sigkill_leaves_nothing_that_the_next_start_stumbles_over(decoder: Path, tmp_path: Path) -> None:
    """Killed first while it fills its cache, then while it serves; each time the next one takes the same port."""
    cache, port = tmp_path / "cache", free_port()
    flags = ("--backend=openvino", f"--backend-cache-dir={cache}", f"--port={port}", "--strict-backend")
    request = decode(1, step_count=4)
    with Process(decoder, *flags) as server:
        server.target("listening")
        eventually(lambda: any(cache.glob("*")) or server.process.poll() is not None)
        server.process.kill()
        assert server.wait() == -signal.SIGKILL
    with Process(decoder, *flags) as server, crowd(server.target("serving")) as clients:
        before = clients[0].call("Decode", request)
        running = [taken_in(raw, seed, ENDLESS) for seed, raw in enumerate(clients)]
        kept = written(cache)
        server.process.kill()
        assert {rest(call).code for call in running} == {StatusCode.UNAVAILABLE}
    with Process(decoder, *flags) as server, connected(server.target("serving")) as raw:
        after = raw.call("Decode", request)
        assert written(cache) == kept, "it compiled again"
        server.terminate()
        assert server.wait() == 0
        assert not [line for line in server.errors if '"level": "warning"' in line]
    assert (pixels(after) == pixels(before)).all()
    assert after.images[0].receipt.backend == "openvino"
