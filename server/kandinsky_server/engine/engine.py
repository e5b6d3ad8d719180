"""The one thread that owns the device: pick a lane, form a batch, call the network, advance each trajectory."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import torch

from kandinsky_server.engine.batch import Batch
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.errand import Errand
from kandinsky_server.engine.followers import Followers
from kandinsky_server.engine.lane import Lane
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.report import Observer, StepReport
from kandinsky_server.engine.run import Run, Update
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.trajectory import LaneKey, Trajectory
from kandinsky_server.engine.watchdog import Activity, Watchdog
from kandinsky_server.engine.work import Work
from kandinsky_server.errors import DeviceHung, InternalFailure, ServingError

RESIDENT_SECONDS = 5.0
"""With offloading, how long the network on the device may keep others waiting: moving weights costs about a second."""

STOP_SECONDS = 5.0
"""How long ``stop`` waits for the present step; whoever waited for its results has been answered by then."""

HUNG_RETRY_SECONDS = 5.0
"""When to try again after a hang: by then this process is gone, and another may serve."""


UNREAD_SECONDS = 0.02
"""How often the thread looks whether a client has read on, while it has nothing else to do."""


class Residency(Protocol):
    """Moves weights when they do not all fit on the device; ``resident`` names the network that is there."""

    resident: str | None

    def ensure(self, name: str) -> None:
        """Brings a network to the device."""
        ...


T = TypeVar("T")
Delivery = tuple[Callable[..., None], tuple[Any, ...]]

log = logging.getLogger(__name__)


class Engine:
    """Steps trajectories. ``submit`` and ``stop`` belong to the event loop, everything with an underscore to the thread.

    ``exclusive`` gives every trajectory its own network call, so that no result depends on its neighbours, bit for bit.
    """

    def __init__(
        self,
        networks: Mapping[str, DeviceNetwork],
        cost: CostModel,
        observers: Sequence[Observer] = (),
        exclusive: bool = False,
        residency: Residency | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.networks = networks
        self.cost = cost
        self.observers = observers
        self.exclusive = exclusive
        self.residency = residency
        self.watchdog = watchdog or Watchdog()
        self._resident_since = 0.0
        self.active: set[Run[Any]] = set()
        self._lanes: dict[LaneKey, Lane] = {}
        self._inbox: queue.SimpleQueue[Run[Any] | Errand | None] = queue.SimpleQueue()
        self._outbox: list[Delivery] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failed = asyncio.Event()
        """Set when the thread ended by a fault of its own, or something hangs: nothing is served any more."""
        self.hung = ""
        """What hangs, in a sentence; empty as long as nothing does."""

    async def start(self, prepare: Callable[[], None] = lambda: None) -> None:
        """Starts the thread, which does ``prepare`` and then steps; raises what ``prepare`` raised, or DeviceHung.

        Networks are loaded by the thread that will call them: OpenMP keeps threads for every thread that calls torch,
        and where they are more than the cores it lets them sleep at every turn, at twice the time a step. CUDA graphs
        belong to the thread that recorded them. Results are delivered on the running event loop.
        """
        self._loop = asyncio.get_running_loop()
        prepared: Future[None] = Future()
        prepared.set_running_or_notify_cancel()
        self._thread = threading.Thread(
            target=self._run, args=(prepare, prepared), name="engine", daemon=True
        )
        self._thread.start()
        self.watchdog.start(self._on_hang)
        await self.or_fail(asyncio.wrap_future(prepared))

    async def or_fail(self, other: Awaitable[T]) -> T:
        """Waits for something that the watchdog watches, such as a file that is loaded.

        Raises:
            DeviceHung: that, or anything else, hangs.
        """
        future, failed = asyncio.ensure_future(other), asyncio.ensure_future(self.failed.wait())
        try:
            await asyncio.wait((future, failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed.cancel()
            if not future.done():
                future.cancel()
        if failed.done() and not failed.cancelled():
            raise self.failure()
        return await future

    def check(self) -> None:
        """Returns unless something hangs.

        Raises:
            DeviceHung: this process is about to end.
        """
        if self.hung:
            raise self.failure()

    def submit(
        self,
        work: Work[T],
        trajectory: Trajectory[T],
        ticket: Ticket,
        preview_interval: int = 0,
        followers: Followers | None = None,
        needs_reader: bool = False,
    ) -> Run[T]:
        """Puts a trajectory into the lane of the ``work`` that it does; it joins the batch at the next step."""
        ticket.planned.drop(work)
        run = Run(work, trajectory, ticket, preview_interval, followers, needs_reader)
        if self.failed.is_set():
            run.post_failure(self.failure())
            return run
        self.active.add(run)
        self._inbox.put(run)
        return run

    def between_steps(self, errand: Errand) -> None:
        """Has the thread do something between two steps, such as to put a network in another's place. From any thread."""
        self._inbox.put(errand)

    def resting(self) -> bool:
        """Whether nothing takes a step: there is no run, or all wait for their readers."""
        return all(run.paused for run in self.active)

    def abandon(self, failure: ServingError) -> None:
        """Ends every run at once for those who wait for it; the thread finds out after its present step."""
        for run in list(self.active):
            run.ticket.cancel(failure)
            run.post_failure(failure)

    async def stop(self) -> None:
        """Ends the thread after the present step; whatever has not finished is failed.

        A step that takes too long, or hangs, is left alone: it ends with the process.
        """
        self.watchdog.stop()
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join, 0 if self.failed.is_set() else STOP_SECONDS)

    # ------------------------------------------------------------------------------------------ the thread

    def _run(self, prepare: Callable[[], None], prepared: Future[None]) -> None:
        try:
            prepare()
        except BaseException as error:
            prepared.set_exception(error)
            return
        prepared.set_result(None)
        try:
            self._work()
        except BaseException:
            log.critical("the engine's thread failed; nothing can be served any more", exc_info=True)
            self._outbox = [(self._collapse, ())]
            self._deliver()

    def _on_hang(self, what: str) -> None:
        """On the watchdog's thread."""
        self.hung = what
        assert self._loop is not None
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._collapse)

    def _collapse(self) -> None:
        """On the event loop: the thread is gone, or as good as gone."""
        self.failed.set()
        self.abandon(self.failure())

    def failure(self) -> ServingError:
        """What everybody is told who waits for the thread."""
        if self.hung:
            return DeviceHung(
                f"this server's device hangs ({self.hung}) and it ends; another replica can serve this",
                HUNG_RETRY_SECONDS,
            )
        return InternalFailure("the engine failed; the server's log has the details")

    @torch.no_grad()
    def _work(self) -> None:
        while self._take_in():
            now = time.monotonic()
            self._sweep(now)
            if lane := self._pick(now):
                self._step_safely(lane)
            self._deliver()
        for lane in list(self._lanes.values()):
            for run in list(lane.members):
                self._end(run.post_failure, run, InternalFailure("the server stopped"))
        self._deliver()

    def _take_in(self) -> bool:
        """Moves new runs into their lanes; waits for one when there is nothing else to do. False: stop."""
        block = not any(lane.ready for lane in self._lanes.values())
        # Runs that wait for their readers go on, or end, without a word to this thread.
        timeout = UNREAD_SECONDS if self._lanes else None
        while True:
            try:
                run = self._inbox.get(block, timeout)
            except queue.Empty:
                return True
            if run is None:
                return False
            if isinstance(run, Errand):
                self._do(run)
                return True
            block = False
            key = run.work.key
            self._lanes.setdefault(key, Lane(key)).members.append(run)

    def _do(self, errand: Errand) -> None:
        with self.watchdog.loading(errand.name):
            try:
                errand.action()
            except Exception:
                log.exception("%s failed", errand.name)

    def _sweep(self, now: float) -> None:
        """Frees the places of requests that were cancelled or whose deadline has passed."""
        for lane in list(self._lanes.values()):
            for run in list(lane.members):
                if failure := run.ticket.verdict(now):
                    self._fail(run, failure)
                elif run.paused:
                    # Whoever does not read gains no seniority by it.
                    run.last_served = now

    def _pick(self, now: float) -> Lane | None:
        """The lane with the most urgent member; among equals the one that has waited longest. None: all are paused."""
        lanes = [lane for lane in self._lanes.values() if lane.ready]
        if not lanes:
            return None
        if self.residency and now - self._resident_since < RESIDENT_SECONDS:
            lanes = [lane for lane in lanes if lane.key.network == self.residency.resident] or lanes
        return min(lanes, key=lambda lane: (-lane.urgency(now), lane.last_served))

    def _place(self, network: str, now: float) -> None:
        """With offloading, brings the network's weights to the device."""
        if self.residency and self.residency.resident != network:
            self.residency.ensure(network)
            self._resident_since = now

    def _step_safely(self, lane: Lane) -> None:
        """A fault outside every trajectory and network fails the lane's requests; the thread must live."""
        try:
            self._step(lane)
        except Exception:
            runs = list(lane.members)
            ids = sorted({run.ticket.request_id for run in runs})
            log.exception("the engine failed in lane %s", lane.key, extra={"request_ids": ids})
            for run in runs:
                self._fail(run, InternalFailure("the engine failed; the server's log has the details"))

    def _step(self, lane: Lane) -> None:
        started = time.monotonic()
        network = self.networks[lane.key.network]
        max_rows = 1 if self.exclusive else network.rows_for(lane.key.area)
        formed = lane.form(started, max_rows)
        lane.last_served = started
        with self.watchdog.watch(self._activity(lane.key, sum(run.work.rows for run in formed))):
            self._take_step(lane.key, network, formed, started)

    def _activity(self, lane: LaneKey, rows: int) -> Activity:
        """A step, as the watchdog sees it."""
        details = {"network": lane.network, "batch_key": lane, "rows": rows}
        return Activity(
            f"a step of {lane.network}",
            lambda: self.watchdog.timeouts.of_step(self.cost.forecast(lane, rows)),
            details,
        )

    def _take_step(
        self, lane: LaneKey, network: DeviceNetwork, formed: Sequence[Run[Any]], started: float
    ) -> None:
        runs = [run for run in formed if self._begin(run, started)]
        if not runs:
            return
        self._place(network.name, started)
        network_seconds, rows = 0.0, 0
        for batch in Batch(network, runs, self.observers).execute():
            network_seconds += batch.seconds
            rows += batch.rows
            for run, outputs in batch.shares:
                self._advance(run, outputs)
        riders = tuple((run.ticket, run.trajectory.step) for run in runs)
        ended = time.monotonic()
        for run in runs:
            run.rise(ended)
        seconds = ended - started
        if rows:  # a call that failed for every run says nothing of the cost
            self.cost.observe(lane, rows, seconds)
        report = StepReport(lane, network.stage, network.backend, rows, network_seconds, seconds, riders)
        for observer in self.observers:
            observer.on_step(report)

    def _begin(self, run: Run[Any], now: float) -> bool:
        run.sit(now)
        if run.started is None:
            run.started = now
            return self._guard(run, run.trajectory.start)
        return True

    def _advance(self, run: Run[Any], outputs: tuple[torch.Tensor, ...] | ServingError) -> None:
        if isinstance(outputs, ServingError):
            self._fail(run, outputs)
            return
        trajectory = run.trajectory
        if not self._guard(run, lambda: trajectory.advance(outputs)):
            return
        if trajectory.step >= trajectory.step_count:
            self._guard(run, lambda: self._finish(run, trajectory.result()))
            return
        due = run.preview_interval and trajectory.step % run.preview_interval == 0
        update = Update(trajectory.step, trajectory.step_count, trajectory.snapshot() if due else None)
        self._outbox.append((run.post_update, (update,)))

    def _guard(self, run: Run[Any], action: Callable[[], None]) -> bool:
        """Runs one trajectory's own code; its fault fails its request and no other."""
        try:
            action()
        except ServingError as error:
            self._fail(run, error)
            return False
        except Exception:
            log.exception("trajectory failed", extra={"request_id": run.ticket.request_id})
            self._fail(run, InternalFailure("the server failed on this request; its log has the details"))
            return False
        return True

    def _finish(self, run: Run[Any], value: object) -> None:
        step_count = run.trajectory.step_count
        self._outbox.append((run.post_update, (Update(step_count, step_count),)))
        self._end(run.post_result, run, value)

    def _fail(self, run: Run[Any], failure: ServingError) -> None:
        """A request is whole or failed: the other trajectories of the same ticket leave at the next sweep."""
        run.ticket.cancel(failure)
        self._end(run.post_failure, run, failure)

    def _end(self, post: Callable[..., None], run: Run[Any], value: object) -> None:
        run.finished = time.monotonic()
        lane = self._lanes.get(run.work.key)
        if lane and run in lane.members:
            lane.members.remove(run)
            if not lane.members:
                del self._lanes[lane.key]
        self._outbox.append((self.active.discard, (run,)))
        self._outbox.append((post, (value,)))

    def _deliver(self) -> None:
        """Hands everything that happened in this step to the event loop in one call."""
        if not self._outbox:
            return
        deliveries, self._outbox = self._outbox, []
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_run_all, deliveries)
        except RuntimeError:
            log.warning("the event loop is closed; %d deliveries dropped", len(deliveries))


def _run_all(deliveries: list[Delivery]) -> None:
    for function, arguments in deliveries:
        function(*arguments)
