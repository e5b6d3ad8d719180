"""Clients that ask for much and read nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc
from kandinsky_api.v1 import image_pb2, image_pb2_grpc
from kandinsky_api.v1 import types_pb2 as pb

from benchmarks.attacks.attack import Attack, Verdict
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

PATIENCE_SECONDS = 120.0
WRITE_TIMEOUT_SECONDS = 10
TRIM_SECONDS = 15.0
UNREAD_MIB = 16
MEMORY_REQUESTS, MEMORY_SIDE = 15, 320
READ_REQUESTS = 4
ASKED_MIB = MEMORY_REQUESTS * 16 * MEMORY_SIDE**2 * 3 * 4 // 2**20
NARROW = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
"""A window of 64 KiB a stream, so that the server soon has something that cannot be sent."""


def hold_places() -> Verdict:
    """One connection asks for more than the queue holds; a second one asks for one image again and again."""
    with (
        _serving(f"--write-timeout-seconds={WRITE_TIMEOUT_SECONDS}") as server,
        grpc.insecure_channel(server.target, NARROW) as channel,
    ):
        unread = [_generate(channel, 64) for _ in range(10)]
        _until(lambda: _length(server) > 100)
        started, codes = time.monotonic(), list[str]()
        while _length(server) and time.monotonic() - started < PATIENCE_SECONDS:
            codes.append(_code(server))
        seconds = time.monotonic() - started
        refused = sum(code != "OK" for code in codes)
        held = not refused and seconds < PATIENCE_SECONDS
        del unread
    return Verdict(held, f"{refused} of {len(codes)} others refused, places free after {seconds:.0f} s")


def hold_memory() -> Verdict:
    """Each of several connections asks for 16 images of 1.2 MiB, 281 MiB together, and reads none.

    Some such requests have been made and read before, so that the memory of full batches counts as before.
    """
    bounds = (f"--max-unread-bytes={UNREAD_MIB * 2**20}", f"--max-request-unread-bytes={UNREAD_MIB * 2**20}")
    with _serving(*bounds) as server, ExitStack() as stack:
        channels = [
            stack.enter_context(grpc.insecure_channel(server.target, NARROW)) for _ in range(MEMORY_REQUESTS)
        ]
        with ThreadPoolExecutor(READ_REQUESTS) as threads:
            list(threads.map(lambda channel: list(_generate(channel, MEMORY_SIDE)), channels[:READ_REQUESTS]))
        before = _resting_bytes(server)
        unread = [_generate(channel, MEMORY_SIDE) for channel in channels]
        held = (_resting_bytes(server) - before) / 2**20
        del unread
    return Verdict(
        held < ASKED_MIB / 2, f"{held:.0f} MiB held, {UNREAD_MIB} MiB allowed, {ASKED_MIB} MiB asked for"
    )


def _resting_bytes(server: ServerProcess) -> int:
    """Memory once nothing has been computed for so long that what was freed is given back."""
    steps, since, started = -1.0, time.monotonic(), time.monotonic()
    while time.monotonic() - since < TRIM_SECONDS and time.monotonic() - started < PATIENCE_SECONDS:
        time.sleep(0.5)
        now = server.metrics()["kandinsky_steps_total"]
        if now != steps:
            steps, since = now, time.monotonic()
    return server.resident_bytes()


def _serving(*flags: str) -> ServerProcess:
    return Setting(Path(str(files("kandinsky_toy")))).ours(*flags)


def _generate(channel: grpc.Channel, side: int) -> Any:
    """Asks for 16 images and reads none."""
    return image_pb2_grpc.ImageServiceStub(channel).Generate(_request(side, 16))


def _code(server: ServerProcess) -> str:
    """The end of a small request on a connection of its own, read to the end."""
    with grpc.insecure_channel(server.target, NARROW) as channel:
        call = image_pb2_grpc.ImageServiceStub(channel).Generate(_request(64, 1))
        with suppress(grpc.RpcError):
            list(call)
        return str(call.code().name)


def _request(side: int, count: int) -> image_pb2.GenerateRequest:
    sampling = image_pb2.Sampling(step_count=2, image_count=count, seed=1, width_px=side, height_px=side)
    output = pb.OutputOptions(format=pb.IMAGE_FORMAT_RAW_RGB_F32)
    return image_pb2.GenerateRequest(
        prompts=["a red circle"],
        prior_sampling=pb.PriorSampling(step_count=2),
        sampling=sampling,
        output=output,
    )


def _length(server: ServerProcess) -> int:
    return int(server.metrics()["kandinsky_queue_length"])


def _until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not holds() and time.monotonic() < limit:
        time.sleep(0.1)


ATTACKS: tuple[Attack, ...] = (
    Attack(
        "places held by who reads nothing",
        "10 Generates of 16 images on one connection",
        "256 of 256 places held for ever, everyone else QUEUE_FULL",
        hold_places,
    ),
    Attack(
        "memory held by who reads nothing",
        f"{MEMORY_REQUESTS} connections, 16 images of {MEMORY_SIDE}x{MEMORY_SIDE} each",
        "all that is asked for, in float32, for ever: 13.4 MiB of a 1024x1024",
        hold_memory,
    ),
)
