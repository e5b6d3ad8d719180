"""What a real process still holds after its clients were killed in every phase of a request."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from kandinsky_server.testing.calls import ENDLESS
from prometheus_client.parser import text_string_to_metric_families

from tests.support.lone_client import lone_client, wait_for
from tests.support.patience import eventually
from tests.support.process import Process
from tests.support.raw import Raw, connected, only
from tests.support.requests import decode

pytestmark = pytest.mark.slow

PHASES = {
    "queued": ("queued", ENDLESS, 64, ""),
    "prior": ("prior 2", ENDLESS, 64, ""),
    "decoder": ("decoder 2", 60, 64, ""),
    "pixels": ("decoder 2", 2, 512, ""),
    "sending": ("image", 2, 512, "image"),
}
"""Span -> the line at which a client of Generate is killed, its steps, size, and what it stops reading after."""

POOL_THREADS = 4
MEMORY_BYTES = 64 * 1024 * 1024
"""Room for pools that were not full yet, and for an allocator's moods."""


@dataclass(frozen=True)
class Footprint:
    """Requests and trajectories by the metrics; threads, open files and resident bytes by the operating system."""

    requests: float
    trajectories: float
    threads: int
    files: int
    memory: float

    @classmethod
    def of(cls, server: Process) -> Self:
        (port,) = re.findall(r"metrics on port (\d+)", server.output[-1])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
            families = text_string_to_metric_families(page.read().decode())
            sums = {family.name: sum(s.value for s in family.samples) for family in families}
        own = Path(f"/proc/{server.process.pid}")
        return cls(
            sums["kandinsky_requests_in_flight"],
            sums["kandinsky_queue_length"],
            len(os.listdir(own / "task")),
            len(os.listdir(own / "fd")),
            sums["process_resident_memory_bytes"],
        )


@pytest.fixture
def server(tiny_model: Path, tmp_path: Path) -> Iterator[Process]:
    model = only(tmp_path / "model", tiny_model, "prior", "decoder")
    with Process(model, "--max-batch-rows=4") as running:
        running.target("serving")
        yield running


def kill_a_client_in_every_phase(target: str) -> None:
    """All at once, so that they are in each other's batches."""

    def kill(phase: str) -> None:
        line, *arguments = PHASES[phase]
        with lone_client(target, "Generate", *arguments) as process:
            wait_for(process, line)
            process.kill()

    with ThreadPoolExecutor(len(PHASES)) as killers:
        list(killers.map(kill, PHASES))


def fill_the_pools(raw: Raw) -> None:
    """Threads and buffers that are made when there is work, and kept for more of it."""
    large: dict[str, Any] = {"width_px": 512, "height_px": 512, "step_count": 1, "guidance_scale": 1.0}
    with ExitStack() as stack:
        calls = [raw.image_service.Decode(decode(seed, **large)) for seed in range(8)]
        for call in calls:
            stack.callback(call.cancel)
        assert all([event.event.WhichOneof("kind") for event in call][-1] == "completed" for call in calls)


def test_clients_killed_in_every_phase_leave_nothing(server: Process) -> None:
    target = server.target("serving")
    with connected(target) as raw:
        fill_the_pools(raw)
        kill_a_client_in_every_phase(target)
        eventually(lambda: not Footprint.of(server).requests)
        before = Footprint.of(server)
        for _ in range(2):
            kill_a_client_in_every_phase(target)
        eventually(lambda: not Footprint.of(server).requests and Footprint.of(server).files <= before.files)
        after = Footprint.of(server)
        assert raw.call("Decode", decode(step_count=2)).kinds[-1] == "completed"
    assert (after.requests, after.trajectories) == (0, 0)
    assert after.threads <= before.threads + POOL_THREADS
    assert after.memory <= before.memory + MEMORY_BYTES
    server.terminate()
    assert server.wait() == 0
