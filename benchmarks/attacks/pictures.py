"""Pictures that are slow to decode or large once they are decoded, and images that their format cannot hold."""

from __future__ import annotations

import functools
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
from kandinsky_api.v1 import image_pb2, image_pb2_grpc, prior_pb2, prior_pb2_grpc, server_pb2, server_pb2_grpc
from kandinsky_api.v1 import types_pb2 as pb
from PIL import Image

from benchmarks.attacks.attack import Attack, Verdict
from benchmarks.process import ServerProcess

MIB = 1024 * 1024
SIDE = 4096
CALLERS = 4
SCANS = 8000
WAITING = 64
ESTIMATES = 15
STEPS = 1000
PATIENCE_SECONDS = 10.0
"""How long a sound request of somebody else's may take meanwhile."""


@contextmanager
def served(*flags: str) -> Iterator[tuple[ServerProcess, grpc.Channel]]:
    """A server with the toy model, and a connection to it."""
    command = [str(Path(sys.executable).with_name("kandinsky")), "serve", "--port=0", "--metrics-port=0"]
    with ServerProcess([*command, "--backend=eager", "--device=cpu", *flags], {}) as server:
        own = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(server.target, own) as channel:
            yield server, channel


def large(kind: str, **options: Any) -> bytes:
    """A picture of as many pixels as may come, and few bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (100, 0, 0)).save(buffer, kind, **options)
    return buffer.getvalue()


def slow() -> bytes:
    """A progressive JPEG with many times the scans that its encoder made."""
    whole = large("JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + SCANS * last + whole[-2:]


def emb2emb(data: bytes, **sampling: Any) -> prior_pb2.PriorRequest:
    """A Prior that starts from a picture."""
    return prior_pb2.PriorRequest(
        prompts=["a red house"],
        strength=1,
        image=pb.InputImage(data=data),
        sampling=pb.PriorSampling(**sampling),
    )


def outcome(call: Callable[[], Any]) -> tuple[str, float]:
    """The code of a call, and its seconds."""
    started = time.monotonic()
    try:
        for _ in call():
            pass
        code = "OK"
    except grpc.RpcError as error:
        code = error.code().name
    return code, time.monotonic() - started


def slow_pictures() -> Verdict:
    """Callers send slow pictures and leave after a second; then somebody sends a sound one, and two SIGTERMs end it."""
    data, sound = slow(), io.BytesIO()
    Image.new("RGB", (64, 64)).save(sound, "PNG")
    with served() as (server, channel):
        prior = prior_pb2_grpc.PriorServiceStub(channel).Prior
        callers = [
            threading.Thread(target=outcome, args=(lambda: prior(emb2emb(data), timeout=1),))
            for _ in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        code, seconds = outcome(
            lambda: prior(emb2emb(sound.getvalue(), step_count=2), timeout=PATIENCE_SECONDS)
        )
        process = psutil.Process(server.pid)
        process.terminate()
        time.sleep(0.5)
        process.terminate()
        _, alive = psutil.wait_procs([process], timeout=PATIENCE_SECONDS)
    ended = "still there" if alive else "ended"
    return Verdict(code == "OK" and not alive, f"somebody else's picture: {code} in {seconds:.1f} s; {ended}")


def large_pictures() -> Verdict:
    """Requests with large pictures wait, and are given up."""
    data = large("PNG")
    with served() as (server, channel):
        prior = prior_pb2_grpc.PriorServiceStub(channel).Prior
        outcome(lambda: prior(emb2emb(data, step_count=2)))
        before, most = server.resident_bytes(), 0
        calls = [prior(emb2emb(data, step_count=STEPS, seed=seed)) for seed in range(WAITING)]
        for call in calls:
            next(call)
            most = max(most, server.resident_bytes())
        for call in calls:
            call.cancel()
        time.sleep(PATIENCE_SECONDS)
        left = server.resident_bytes()
    grown, kept = (most - before) / MIB, (left - before) / MIB
    return Verdict(
        grown < 1024 and kept < 128, f"{grown:+.0f} MiB while they wait, {kept:+.0f} MiB 10 s after"
    )


def long_images() -> Verdict:
    """Images longer than JPEG and WebP can be."""
    answers = []
    with served() as (_, channel):
        for kind in (pb.IMAGE_FORMAT_JPEG, pb.IMAGE_FORMAT_WEBP):
            request = image_pb2.GenerateRequest(
                prompts=["a red house"],
                sampling=image_pb2.Sampling(width_px=65_536, height_px=64, step_count=1),
                output=pb.OutputOptions(format=kind),
            )
            generate = image_pb2_grpc.ImageServiceStub(channel).Generate
            answers.append(outcome(functools.partial(generate, request, timeout=120)))
    slowest = max(seconds for _, seconds in answers)
    held = {code for code, _ in answers} == {"INVALID_ARGUMENT"} and slowest < 1
    return Verdict(held, f"{', '.join(code for code, _ in answers)} in {slowest:.2f} s")


def many_estimates() -> Verdict:
    """One client asks for Estimates of many results of large pictures; another client asks for one of its own."""
    request = server_pb2.EstimateRequest(prior=emb2emb(large("PNG"), image_count=16))
    other_request = server_pb2.EstimateRequest(prior=prior_pb2.PriorRequest(prompts=["a"]))
    with served() as (server, channel):
        estimate = server_pb2_grpc.ServerServiceStub(channel).Estimate
        estimate(other_request)
        calls = [estimate.future(request) for _ in range(ESTIMATES)]
        time.sleep(0.3)
        with grpc.insecure_channel(server.target, [("grpc.use_local_subchannel_pool", 1)]) as other:
            started = time.monotonic()
            server_pb2_grpc.ServerServiceStub(other).Estimate(other_request)
            waited = time.monotonic() - started
        for call in calls:
            call.result()
        total = time.monotonic() - started
    return Verdict(waited < total / 3, f"the other's took {waited:.2f} s, all of them {total:.1f} s")


ATTACKS = (
    Attack(
        "slow pictures",
        f"{CALLERS} JPEGs of {SCANS:,} scans, {SIDE}x{SIDE}, left after 1 s",
        "all work stood still, two SIGTERMs did not end it",
        slow_pictures,
    ),
    Attack(
        "large pictures that wait",
        f"{WAITING} PNGs of 50 kB, {SIDE}x{SIDE}",
        "531 to 8,843 MiB; 3 GiB stayed",
        large_pictures,
    ),
    Attack("images too long for their format", "65536x64 as JPEG, WebP", "INTERNAL after 54 s", long_images),
    Attack(
        "estimates of large pictures",
        f"{ESTIMATES}, {SIDE}x{SIDE}, 16 results each",
        "3.4 s in which nobody else was answered",
        many_estimates,
    ),
)
