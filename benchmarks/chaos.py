"""Servers behind Envoy are killed and drained while clients ask: everybody gets the one right answer, nothing runs twice.

A server alone is asked first; its answers are what all others are held to.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from kandinsky_client import Kandinsky

from benchmarks.figure import Bar, Figure, at_most
from benchmarks.fleet import envoy
from benchmarks.fleet.crowd import RETRIES, VARIANTS, Crowd, Outcome, Variant, ask, follow
from benchmarks.fleet.envoy import Envoy
from benchmarks.fleet.replicas import Replicas
from benchmarks.load import Material
from benchmarks.repeats import TOLERANCE
from benchmarks.setting import Setting

INTERVAL = 5
FLAGS = ("--prior-cache-size", "0", "--default-share", "1")
"""Every request runs; and all of Envoy's clients are one connection to a server."""

LOST_AT_STEP = 12
"""At which a lone request loses its server: between two checkpoints."""


@dataclass
class Books:
    """What came of requests with one ``interval`` of checkpoints. ``drains`` are seconds; ``gaps`` too, by phase."""

    interval: int
    killed: list[Outcome] = field(default_factory=list)
    drained: list[Outcome] = field(default_factory=list)
    drains: list[float] = field(default_factory=list)
    gaps: dict[str, float] = field(default_factory=dict)

    @property
    def outcomes(self) -> list[Outcome]:
        """Of all requests."""
        return [*self.killed, *self.drained]


class Chaos:
    """The fleet and what it is asked. ``references`` are the answers of a server alone, by variant."""

    def __init__(self, replicas: Replicas, proxy: Envoy, clients: int) -> None:
        self._clients = clients
        self._replicas, self._proxy = replicas, proxy
        self._draw = random.Random(0)
        with replicas[0].client() as client:
            self._material = Material.of(client)
            self.references = [ask(client, self._material, Variant(number), 0) for number in range(VARIANTS)]
        self.alone: list[Outcome] = []

    def lone_client(self) -> None:
        """One request whose server is killed, and one whose server drains, each with nobody else's beside it."""
        for loss in (self._replicas.kill, self._replicas.drain):
            self.revive(self.lose_one(loss))

    def company(self, interval: int, roll: Sequence[int]) -> Books:
        """All clients: one server is killed and started again; then those of ``roll`` are, one by one, in good order."""
        books = Books(interval)
        crowd = self.crowd(interval)
        with crowd.asking():
            crowd.wait_for(self._clients)
            victim = self._draw.randrange(len(self._replicas))
            self._replicas.kill(victim)
            self.revive(victim)
            crowd.wait_for(self._clients)
        books.killed, books.gaps["kill"] = crowd.outcomes, crowd.longest_gap
        crowd = self.crowd(interval)
        with crowd.asking():
            for number in roll:
                crowd.wait_for(self._clients)
                books.drains.append(self._replicas.drain(number))
                self.revive(number)
        books.drained, books.gaps["rolling restart"] = crowd.outcomes, crowd.longest_gap
        return books

    def differences(self, outcomes: Sequence[Outcome]) -> list[float]:
        """Each answer's to that of the server alone."""
        return [outcome.difference(self.references[outcome.variant.number]) for outcome in outcomes]

    def changed(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Those whose checksum is not that of the server alone."""
        return [each for each in outcomes if each.digest != self.references[each.variant.number].digest]

    def ran_twice(self, outcomes: Sequence[Outcome]) -> int:
        """How many were told to be well ended more than once, by the logs of all servers."""
        known = {each.request_id for each in outcomes}
        ends = Counter(
            line["request_id"]
            for line in self._replicas.logged()
            if line.get("event") == "request" and line["code"] == "OK" and line["request_id"] in known
        )
        return sum(times > 1 for times in ends.values())

    def crowd(self, interval: int) -> Crowd:
        """Clients that have not begun."""
        return Crowd(self._proxy.target, self._material, self._clients, interval)

    def lose_one(self, loss: Callable[[int], object]) -> int:
        """One request alone, whose server is lost in the middle; returns which server that was."""
        variant = Variant(next(n for n in range(VARIANTS) if Variant(n).step_count >= 3 * INTERVAL))
        outcome, lost = Outcome(variant, f"alone-{len(self.alone)}"), -1
        with Kandinsky(self._proxy.target, retries=RETRIES) as client, ThreadPoolExecutor(1) as pool:
            losing: Future[object] | None = None
            stream = variant.open(client, self._material, outcome.request_id, INTERVAL)
            for progress in follow(stream, outcome):
                if progress.step == LOST_AT_STEP and losing is None:
                    lost = self._busy()
                    losing = pool.submit(loss, lost)
        assert losing is not None
        losing.result()
        self.alone.append(outcome)
        return lost

    def _busy(self) -> int:
        lengths = [server.metric("kandinsky_queue_length") for server in self._replicas]
        return lengths.index(max(lengths))

    def revive(self, number: int) -> None:
        """Starts a server again, and waits until Envoy sends it calls."""
        self._replicas.start(number)
        self._proxy.wait_for_healthy(len(self._replicas))


def measure(setting: Setting) -> Iterator[Figure]:
    """Without checkpoints, then with one every ``INTERVAL`` steps; one request alone before all."""
    command = setting.command("chaos")
    if not envoy.installed():
        yield Figure(f"chaos, {setting.backend}", None, [], "", command, envoy.MISSING)
        return
    count = setting.scaled(3, 2)
    with Replicas(setting, count, *FLAGS) as replicas, Envoy({"kandinsky": replicas.targets}) as proxy:
        chaos = Chaos(replicas, proxy, setting.scaled(16, 6))
        chaos.lone_client()
        yield _checksums(setting, chaos)
        for interval in setting.scaled((0, INTERVAL), (INTERVAL,)):
            books = chaos.company(interval, range(setting.scaled(count, 1)))
            yield from _figures(setting, chaos, books)


def _checksums(setting: Setting, chaos: Chaos) -> Figure:
    changed = chaos.changed(chaos.alone)
    tries = ", ".join(
        f"{each.tries} tries, {each.again} steps again, SHA-256 {each.digest[:16]}{each.error}"
        for each in chaos.alone
    )
    name = f"chaos: checksums changed, alone, {setting.backend}"
    return Figure(name, at_most(0), [len(changed)], "", setting.command("chaos"), f"kill; drain: {tries}")


def _figures(setting: Setting, chaos: Chaos, books: Books) -> Iterator[Figure]:
    outcomes, differences = books.outcomes, chaos.differences(books.outcomes)
    mode = f"checkpoints every {books.interval}" if books.interval else "no checkpoints"

    def figure(name: str, bar: Bar | None, value: float, note: str, unit: str = "") -> Figure:
        title = f"chaos, {mode}, {setting.backend}: {name}"
        return Figure(title, bar, [value], unit, setting.command("chaos"), note)

    wrong = [each for each, by in zip(outcomes, differences, strict=True) if not by <= TOLERANCE]
    right = [by for by in differences if by <= TOLERANCE]
    same = len(outcomes) - len(chaos.changed(outcomes))
    note = f"{len(outcomes)} requests, at most {max(right, default=0):.1e} off, {same} bit for bit; "
    note += "; ".join(f"{each.variant.rpc}: {each.error or 'another result'}" for each in wrong[:9])
    yield figure("without their right answer", at_most(0), len(wrong), note)
    moved = sum(each.tries > 1 for each in outcomes)
    yield figure("run twice to their end", at_most(0), chaos.ran_twice(outcomes), f"{moved} moved elsewhere")
    gaps = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in books.gaps.items())
    load = f"load average {os.getloadavg()[0]:.1f}"
    yield figure("longest gap", at_most(3), max(books.gaps.values()), f"{gaps}; {load}", " s")
    drains = ", ".join(f"{seconds:.1f}" for seconds in books.drains)
    told = at_most(2) if books.interval else None
    yield figure("longest drain", told, max(books.drains), f"{drains}; {load}", " s")
    for name, those, limit in (("kill", books.killed, INTERVAL), ("drain", books.drained, 0)):
        moved_steps = sorted((each.again for each in those if each.tries > 1), reverse=True)
        bar = at_most(limit) if books.interval else None
        most = max(moved_steps, default=0)
        yield figure(f"steps again after a {name}", bar, most, f"of {len(moved_steps)}: {moved_steps[:16]}")
