"""Thousands of small requests over TLS: each gets one answer, both sides count the same, nothing grows or changes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
from kandinsky_client import Tls

from benchmarks.accounts import Accounts, Book
from benchmarks.attacks import pki
from benchmarks.crash import crash
from benchmarks.exchange import ANSWER_SECONDS, Answer, ask
from benchmarks.figure import Figure, at_most
from benchmarks.load import Material
from benchmarks.mixture import CODES, Kind, Mixture, Small
from benchmarks.process import ServerProcess
from benchmarks.repeats import SEEDS, TOLERANCE, Repeats
from benchmarks.setting import Setting

CLIENTS = 16
RECONNECTING = 4
"""Of the clients, those that connect anew for each request: TCP, TLS and all."""

PARTS = 10
"""Of the run, each of a hundred requests at least: after each all clients pause, for memory and checksums."""

CACHE_SIZE = 32
"""Embeddings: the cache is full long before the first part ends, and forgets all the time."""

SETTLE_SECONDS = 30.0


class Soak:
    """Asks everything and keeps the books. ``memory`` is the server's resident bytes after each part."""

    def __init__(self, server: ServerProcess, authority: Path, number: int) -> None:
        self.server = server
        self.authority = authority
        self.number = number
        self.done = 0
        self.accounts = Accounts()
        self.repeats = Repeats()
        self.memory: list[int] = []
        self.ends: Counter[tuple[str, str]] = Counter()
        self.broken: list[str] = []
        self._booking = threading.Lock()
        with server.client(tls=Tls(authority)) as client:
            self._mixture = Mixture(Material.of(client))
        self._before = server.requests()

    def run(self) -> None:
        """Part by part."""
        requests = self._mixture.requests(self.number, range(SEEDS, 2 * SEEDS))
        parts = max(2, min(PARTS, self.number // 100))
        self._check()
        for done in (part * self.number // parts for part in range(1, parts + 1)):
            self._ask_all(list(islice(requests, done - self.done)))
            self._check()
            self.done = done
            self.memory.append(self.server.resident_bytes())
            megabytes = self.memory[-1] / 2**20
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

        def answer(channel: grpc.Channel, request: Small) -> None:
            got = self._ask(channel, request)
            if request.seed in range(SEEDS, 2 * SEEDS):
                self.repeats.compare(request.seed, got)

        def drain(number: int) -> None:
            with self._client() as kept:
                for request in iter(take, None):
                    if number >= RECONNECTING:
                        answer(kept, request)
                        continue
                    with self._client() as new:
                        answer(new, request)

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(drain, range(CLIENTS)))

    def _ask(self, channel: grpc.Channel, request: Small) -> Answer:
        if request.kind is Kind.CRASHED:
            answer = crash(self.server.target, self.authority, request.message, request.patience or 1)
        else:
            answer = ask(channel, request.message, request.timeout or ANSWER_SECONDS, request.patience)
        with self._booking:
            self.accounts.enter(answer)
            self.ends[request.kind.value, answer.code] += 1
            if answer.code not in CODES[request.kind] or not answer.whole:
                self.broken.append(f"{request.kind.value} {answer.rpc} of seed {request.seed}: {answer}")
                print(f"soak: broken: {self.broken[-1]}", flush=True)
        return answer

    def _client(self) -> grpc.Channel:
        return self.server.channel()


def measure(setting: Setting) -> Iterator[Figure]:
    """Growth is from the end of the first part on, to the highest point."""
    with TemporaryDirectory() as folder:
        ca = pki.authority(Path(folder))
        keys = pki.issue(ca, Path(folder), "server")
        credentials = grpc.ssl_channel_credentials(ca.certificate.read_bytes())
        tls = ("--tls-certificate", str(keys.certificate), "--tls-key", str(keys.key))
        with setting.ours("--prior-cache-size", str(CACHE_SIZE), *tls, credentials=credentials) as server:
            soak = Soak(server, ca.certificate, setting.scaled(setting.soak_requests, 400))
            soak.run()
            differences = list(soak.accounts.discrepancies(soak.counted()))
            miscounted = sum(by for by, _ in differences) + soak.running
    repeats = soak.repeats

    def figure(name: str, limit: float, value: float, note: str, unit: str = "") -> Figure:
        title = f"soak of {soak.number}, {setting.backend}: {name}"
        return Figure(title, at_most(limit), [value], unit, setting.command("soak"), note)

    ends = ", ".join(f"{kind} {code} {count}" for (kind, code), count in sorted(soak.ends.items()))
    yield figure("not one right answer", 0, len(soak.broken), "; ".join([ends, *soak.broken[:9]]))
    given_up = f"{soak.accounts.given_up.total()} given up"
    yield figure(
        "miscounted or left", 0, miscounted, "; ".join([given_up, *(text for _, text in differences)])
    )
    checksums = (
        f"{len(repeats.checksums)} checksums of {SEEDS} seeds, each alone: {repeats.checksums[0][:16]}"
    )
    yield figure("changed checksums", 0, len(set(repeats.checksums)) - 1, checksums)
    company = f"{repeats.compared} answers to {SEEDS} seeds, at most {repeats.largest:.1e} off; {TOLERANCE:g} may be"
    yield figure("changed in company", 0, repeats.changed, company)
    sizes = ", ".join(f"{size / 2**20:.0f}" for size in soak.memory)
    growth = 100 * (max(soak.memory) / soak.memory[0] - 1)
    yield figure("memory growth", 3, growth, f"resident MiB after each part: {sizes}", "%")
