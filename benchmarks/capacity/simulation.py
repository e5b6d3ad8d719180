"""Replicas in simulated time. Who shares a step, and which lane is next, is the engine's own code: `engine.lane`."""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy
from kandinsky_server.engine.lane import Lane
from kandinsky_server.engine.trajectory import BatchKey

from benchmarks.capacity.served import Served
from benchmarks.capacity.steps import StepTable
from benchmarks.capacity.workload import Arrival, Kind, Stretch

HOP_SECONDS = 0.001
"""From the end of one stretch to the start of the next: over the event loop and back."""

Process = Generator[simpy.Event, Any, None]


@dataclass(eq=False)
class Member:
    """A trajectory, as `Lane` wants to know it. The names are those of the engine's `Run`."""

    work: Stretch
    arrival: float
    submitted: float
    done: simpy.Event
    left: int
    last_served: float
    earlier: float
    paused: bool = False
    priority: int = 0

    @property
    def rows(self) -> int:
        """Of a step."""
        return self.work.rows

    @property
    def precedence(self) -> tuple[int, float, float]:
        """Class, deadline, arrival."""
        return (0, math.inf, self.arrival)

    def waited(self, now: float) -> float:
        """Seconds that the request has waited for slots."""
        return self.earlier + now - self.last_served


class Replica:
    """One server: a thread that steps lanes in turns. ``load`` is the requests that it has."""

    def __init__(
        self, env: simpy.Environment, table: StepTable, max_rows: int, chance: random.Random
    ) -> None:
        self.load = 0
        self._env, self._table, self._max_rows, self._chance = env, table, max_rows, chance
        self._lanes: dict[BatchKey, Lane] = {}
        self._news = env.event()
        env.process(self._step_on())

    def serve(self, kind: Kind) -> Process:
        """A request from its arrival to its last byte."""
        self.load += 1
        arrival, waited = self._env.now, 0.0
        yield self._env.timeout(kind.overhead / 2)
        for stretch in kind.stretches:
            now = self._env.now
            member = Member(stretch, arrival, now, self._env.event(), stretch.count, now, waited)
            self._join(member)
            yield member.done
            waited = member.earlier
            yield self._env.timeout(HOP_SECONDS)
        yield self._env.timeout(kind.overhead / 2)
        self.load -= 1

    def _join(self, member: Member) -> None:
        key = member.work.lane
        if key not in self._lanes:
            self._lanes[key] = Lane(key, [], self._env.now)
        self._members(key).append(member)
        if not self._news.triggered:
            self._news.succeed()

    def _members(self, key: BatchKey) -> list[Any]:
        return self._lanes[key].members

    def _step_on(self) -> Process:
        while True:
            if not self._lanes:
                self._news = self._env.event()
                yield self._news
            now = self._env.now
            lane = min(self._lanes.values(), key=lambda lane: (-lane.urgency(now), lane.last_served))
            batch: list[Any] = lane.form(now, self._max_rows)
            lane.last_served = now
            for member in batch:
                member.earlier, member.last_served = member.waited(now), now
            rows = sum(member.rows for member in batch)
            yield self._env.timeout(self._table.draw(lane.key, rows, self._chance))
            self._end_step(lane.key, batch)

    def _end_step(self, key: BatchKey, batch: Sequence[Member]) -> None:
        members = self._members(key)
        for member in batch:
            member.left -= 1
            member.last_served = self._env.now
            if not member.left:
                members.remove(member)
                member.done.succeed()
        if not members:
            del self._lanes[key]


def simulate(
    trace: Sequence[Arrival],
    kinds: Sequence[Kind],
    table: StepTable,
    replicas: int = 1,
    max_rows: int = 8,
    seed: int = 0,
) -> Served:
    """Each request goes to the replica that has fewest, as Envoy's least_request does when it looks at all."""
    env, chance = simpy.Environment(), random.Random(seed)
    fleet = [Replica(env, table, max_rows, chance) for _ in range(replicas)]
    latencies = [0.0] * len(trace)
    last = 0.0

    def one(place: int, arrival: Arrival) -> Process:
        nonlocal last
        yield from min(fleet, key=lambda replica: replica.load).serve(kinds[arrival.kind])
        latencies[place], last = env.now - arrival.when, env.now

    def come() -> Process:
        for place, arrival in enumerate(trace):
            yield env.timeout(arrival.when - env.now)
            env.process(one(place, arrival))

    env.process(come())
    env.run()
    images = sum(kinds[arrival.kind].images for arrival in trace)
    return Served(latencies, images, last - trace[0].when)
