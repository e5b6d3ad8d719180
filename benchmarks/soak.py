"""Many small requests, some cancelled: memory must not grow and nothing may be lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from kandinsky_client import CallCancelledError, Completed, EventStream, Kandinsky, RpcError

from benchmarks.figure import Figure, at_most
from benchmarks.load import CLIENTS, Material
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

CANCEL_EVERY = 20
"""5%."""

PRIOR_SEEDS = 50
SETTLE_SECONDS = 1.0


class Soak:
    """Request by number, spread over ``CLIENTS`` clients; keeps what became of each and the server's memory."""

    def __init__(self, server: ServerProcess, number: int) -> None:
        self.server = server
        self.number = number
        self.ends: Counter[str] = Counter()
        self.memory: list[int] = []
        self._counting = threading.Lock()
        with server.client() as client:
            self._material = Material.of(client)

    def run(self) -> None:
        """Asks everything, and samples memory at every tenth part."""
        tenth = self.number // 10
        with ThreadPoolExecutor(CLIENTS) as clients:
            for part in range(10):
                shares = [range(part * tenth + k, (part + 1) * tenth, CLIENTS) for k in range(CLIENTS)]
                list(clients.map(self._ask, shares))
                self.memory.append(self.server.memory_bytes())
                megabytes = self.memory[-1] / 2**20
                print(
                    f"soak: {(part + 1) * tenth} of {self.number}, {megabytes:.0f} MiB, {dict(self.ends)}",
                    flush=True,
                )

    def _ask(self, share: range) -> None:
        with self.server.client(retries=0) as client:
            for place in share:
                end = _end(self._open(client, place), cancel=place % CANCEL_EVERY == 0)
                with self._counting:
                    self.ends[end] += 1

    def _open(self, client: Kandinsky, place: int) -> EventStream:
        """Mostly decodes of one step; those that will be cancelled are long enough to be caught running.

        UnCLIP, the prior's scheduler, needs two steps.
        """
        if place % CANCEL_EVERY == 0:
            return client.stream.decode(self._material.pair, seed=place, step_count=100)
        if place % 10 == 1:
            return client.stream.prior(
                "a red circle", seed=place // 10 % PRIOR_SEEDS, step_count=2, guidance_scale=1
            )
        if place % 10 == 2:
            pair, image = self._material.pair, self._material.image
            return client.stream.img2img(pair, image, seed=place, step_count=1, strength=1, guidance_scale=1)
        return client.stream.decode(self._material.pair, seed=place, step_count=1, guidance_scale=1)


def measure(setting: Setting) -> Iterator[Figure]:
    """Growth is from the first tenth on; answers are counted on both sides."""
    number = setting.scaled(setting.soak_requests, 400)
    with setting.ours() as server:
        before = _answered(server)
        soak = Soak(server, number)
        asked = _answered(server) - before
        soak.run()
        time.sleep(SETTLE_SECONDS)
        metrics = server.metrics()
        answered = _answered(server) - before - asked
    command = setting.command("soak")
    growth = 100 * (soak.memory[-1] / soak.memory[0] - 1)
    yield Figure(
        f"memory growth over {number} requests, {setting.backend}", at_most(5), [growth], "%", command
    )
    left = metrics["kandinsky_requests_in_flight"] + metrics["kandinsky_queue_length"]
    lost = abs(number - answered) + abs(number - soak.ends.total()) + left
    wrong = soak.ends.total() - soak.ends["completed"] - soak.ends["cancelled"]
    note = f"clients saw {dict(soak.ends)}; the server counted {answered:.0f}"
    yield Figure(f"lost or failed of {number} requests", at_most(0), [lost + wrong], "", command, note)


def _end(events: EventStream, cancel: bool) -> str:
    """Reads to the end and says which end it was; there is exactly one."""
    try:
        with events:
            if cancel:
                next(events)
                events.close()
            seen = [event for event in events if isinstance(event, Completed)]
    except CallCancelledError:
        return "cancelled" if cancel else "cancelled by the server"
    except RpcError as error:
        return type(error).__name__
    return "completed" if len(seen) == 1 else f"completed {len(seen)} times"


def _answered(server: ServerProcess) -> float:
    return server.metrics()["kandinsky_requests_total"]
