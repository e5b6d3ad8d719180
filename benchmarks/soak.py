"""Thousands of small requests: each gets one answer, both sides count the same, nothing grows, nothing changes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from benchmarks.accounts import Accounts, Book
from benchmarks.exchange import ANSWER_SECONDS, Answer, ask
from benchmarks.figure import Figure, at_most
from benchmarks.load import Material
from benchmarks.mixture import CODES, Mixture, Small
from benchmarks.process import ServerProcess
from benchmarks.repeats import SEEDS, TOLERANCE, Repeats
from benchmarks.setting import Setting

CLIENTS = 16
PARTS = 10
"""Of the run: after each all clients pause, for memory and checksums."""

CACHE_SIZE = 32
"""Embeddings: the cache is full long before the first part ends, and forgets all the time."""

SETTLE_SECONDS = 30.0


class Soak:
    """Asks everything and keeps the books. ``memory`` is the server's resident bytes after each part."""

    def __init__(self, server: ServerProcess, number: int) -> None:
        self.server = server
        self.number = number
        self.accounts = Accounts()
        self.repeats = Repeats()
        self.memory: list[int] = []
        self.ends: Counter[tuple[str, str]] = Counter()
        self.broken: list[str] = []
        self._booking = threading.Lock()
        with server.client() as client:
            self._mixture = Mixture(Material.of(client))
        self._before = server.requests()

    def run(self) -> None:
        """Part by part."""
        requests = list(self._mixture.requests(self.number, range(SEEDS, 2 * SEEDS)))
        self._check()
        for part in range(PARTS):
            self._ask_all(requests[part * self.number // PARTS : (part + 1) * self.number // PARTS])
            self._check()
            self.memory.append(self.server.resident_bytes())
            done, megabytes = (part + 1) * self.number // PARTS, self.memory[-1] / 2**20
            print(
                f"soak: {done} of {self.number}, {megabytes:.0f} MiB, {len(self.broken)} broken", flush=True
            )

    def counted(self) -> Book:
        """What the server has counted since the start, once it says that nothing runs any more."""
        limit = time.monotonic() + SETTLE_SECONDS
        while self.running and time.monotonic() < limit:
            time.sleep(0.1)
        return self.server.requests() - self._before

    @property
    def running(self) -> float:
        """Requests and trajectories that the server still has."""
        metrics = self.server.metrics()
        return metrics["kandinsky_requests_in_flight"] + metrics["kandinsky_queue_length"]

    def _check(self) -> None:
        with self._client() as channel:
            requests = [self._mixture.repeated(seed) for seed in range(SEEDS)]
            self.repeats.check(lambda request: self._ask(channel, request), requests)

    def _ask_all(self, requests: Sequence[Small]) -> None:
        waiting = iter(requests)

        def take() -> Small | None:
            with self._booking:
                return next(waiting, None)

        def drain(_: int) -> None:
            with self._client() as channel:
                for request in iter(take, None):
                    answer = self._ask(channel, request)
                    if request.seed in range(SEEDS, 2 * SEEDS):
                        self.repeats.compare(request.seed, answer)

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(drain, range(CLIENTS)))

    def _ask(self, channel: grpc.Channel, request: Small) -> Answer:
        answer = ask(channel, request.message, request.timeout or ANSWER_SECONDS, request.patience)
        with self._booking:
            self.accounts.enter(answer)
            self.ends[request.kind.value, answer.code] += 1
            if answer.code not in CODES[request.kind] or not answer.whole:
                self.broken.append(f"{request.kind.value} {answer.rpc} of seed {request.seed}: {answer.code}")
        return answer

    @contextmanager
    def _client(self) -> Iterator[grpc.Channel]:
        with grpc.insecure_channel(self.server.target) as channel:
            yield channel


def measure(setting: Setting) -> Iterator[Figure]:
    """Growth is from the end of the first part on, to the highest point."""
    number = setting.scaled(setting.soak_requests, 400)
    with setting.ours("--prior-cache-size", str(CACHE_SIZE)) as server:
        soak = Soak(server, number)
        soak.run()
        differences = list(soak.accounts.discrepancies(soak.counted()))
        left = soak.running
    command, title = setting.command("soak"), f"soak of {number}, {setting.backend}"
    ends = ", ".join(f"{kind} {code} {count}" for (kind, code), count in sorted(soak.ends.items()))
    yield Figure(
        f"{title}: not one right answer",
        at_most(0),
        [len(soak.broken)],
        "",
        command,
        "; ".join([ends, *soak.broken[:9]]),
    )
    yield Figure(
        f"{title}: miscounted or left",
        at_most(0),
        [sum(by for by, _ in differences) + left],
        "",
        command,
        "; ".join([f"{soak.accounts.given_up.total()} given up", *(text for _, text in differences)]),
    )
    yield Figure(
        f"{title}: changed checksums of {SEEDS} seeds",
        at_most(0),
        [len(set(soak.repeats.checksums)) - 1],
        "",
        command,
        f"{len(soak.repeats.checksums)} checksums, each seed alone: {soak.repeats.checksums[0][:16]}",
    )
    yield Figure(
        f"{title}: changed results in company",
        at_most(0),
        [soak.repeats.changed],
        "",
        command,
        f"{soak.repeats.compared} answers to {SEEDS} seeds; they differ by at most {soak.repeats.largest:.1e}, "
        f"{TOLERANCE:g} is allowed",
    )
    growth = 100 * (max(soak.memory) / soak.memory[0] - 1)
    sizes = ", ".join(f"{size / 2**20:.0f}" for size in soak.memory)
    yield Figure(
        f"{title}: memory growth",
        at_most(5),
        [growth],
        "%",
        command,
        f"resident MiB after each tenth: {sizes}",
    )
