"""What the engine's thread does: pick a lane, launch its network and what follows, wait, deliver."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from kandinsky_backends.base import WeightsChanged
from kandinsky_backends.device_errors import is_fatal, is_out_of_memory

from kandinsky_server.engine.batch import NO_MEMORY, Batch
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.device import Device
from kandinsky_server.engine.errand import Errand
from kandinsky_server.engine.lane import Lane
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.outbox import Outbox
from kandinsky_server.engine.report import Observer, StepReport
from kandinsky_server.engine.residency import Residency
from kandinsky_server.engine.run import Run, Update
from kandinsky_server.engine.together import advance_together
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.watchdog import Activity, Watchdog
from kandinsky_server.errors import BackendFailed, InternalFailure, ServingError

RESIDENT_SECONDS = 5.0
"""With offloading, how long the network on the device may keep others waiting: moving weights costs about a second."""

UNREAD_SECONDS = 0.02
"""How often the thread looks whether a client has read on, while it has nothing else to do."""

FAILED = "the engine failed; the server's log has the details"

log = logging.getLogger(__name__)


class StepLoop:
    """Steps the runs that it is given. `put` and `stop` may be called on any thread, `run` is the engine's.

    A step launches the network and, behind it, what its trajectories make of its outputs; only then does the thread wait
    for the ``device``, which has worked all the while. Nothing in between reads the device.

    ``leave`` is called on the event loop with each run that has ended, before its end is told.
    """

    def __init__(
        self,
        networks: Mapping[str, DeviceNetwork],
        cost: CostModel,
        observers: Sequence[Observer],
        exclusive: bool,
        residency: Residency | None,
        watchdog: Watchdog,
        device: Device[Any],
        leave: Callable[[Run[Any]], None],
    ) -> None:
        self.networks = networks
        self.cost = cost
        self.observers = observers
        self.exclusive = exclusive
        self.residency = residency
        self.watchdog = watchdog
        self.device = device
        self._leave = leave
        self._resident_since = 0.0
        self._lanes: dict[BatchKey, Lane] = {}
        self._inbox: queue.SimpleQueue[Run[Any] | Errand | None] = queue.SimpleQueue()

    def put(self, what: Run[Any] | Errand) -> None:
        """Lets a run join at the next step, or has an errand done before it."""
        self._inbox.put(what)

    def stop(self) -> None:
        """Ends `run` after the present step."""
        self._inbox.put(None)

    @torch.no_grad()
    def run(self, outbox: Outbox) -> None:
        """Steps until `stop`; whatever has not finished then is failed. Raises what is no single request's fault."""
        self._outbox = outbox
        while self._take_in():
            now = time.monotonic()
            self._sweep(now)
            if lane := self._pick(now):
                self._step_safely(lane)
            if not self.device.queues:
                self._outbox.send()
        for lane in list(self._lanes.values()):
            for run in list(lane.members):
                self._end(run.post_failure, run, InternalFailure("the server stopped"))
        self._outbox.send()

    def _take_in(self) -> bool:
        """Moves new runs into their lanes; waits for one when there is nothing else to do. False: stop."""
        block = not any(lane.ready for lane in self._lanes.values())
        if block:
            self._outbox.send()
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
        watchdog = self.watchdog
        short = Activity(errand.name, lambda: watchdog.timeouts.of_step(0.0))
        with watchdog.loading(errand.name) if errand.prepares else watchdog.watch(short):
            try:
                errand.action()
            except Exception as error:
                if is_fatal(error) or isinstance(error, WeightsChanged):
                    raise
                log.exception("%s failed", errand.name)

    def hand_over(self, failure: ServingError) -> None:
        """See `Engine.hand_over`; on the engine's thread, as an errand."""
        runs = [run for lane in self._lanes.values() for run in lane.members if run.ticket.resumable]
        for run in runs:
            if run.checkpoint_interval and run.started is not None:
                self._post_last_checkpoint(run)
        for run in runs:
            run.ticket.cancel(failure)

    def _post_last_checkpoint(self, run: Run[Any]) -> None:
        """Where it cannot be taken, the request goes on elsewhere from the one before."""
        trajectory = run.trajectory
        try:
            update = Update(trajectory.step, trajectory.step_count, checkpoint=trajectory.checkpoint())
        except Exception as error:
            if is_fatal(error):
                raise
            log.exception("no last checkpoint", extra={"request_id": run.ticket.request_id})
        else:
            self._outbox.add(run.post_update, update)

    def _sweep(self, now: float) -> None:
        """Frees the places of requests that were cancelled or whose deadline has passed."""
        for lane in list(self._lanes.values()):
            for run in list(lane.members):
                if failure := run.ticket.check_expired(now):
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
        except Exception as error:
            if is_fatal(error):
                raise
            runs = list(lane.members)
            ids = sorted({run.ticket.request_id for run in runs})
            log.exception("the engine failed in lane %s", lane.key, extra={"request_ids": ids})
            no_memory = is_out_of_memory(error)  # for weights that were to come to the device
            for run in runs:
                self._fail(run, BackendFailed(NO_MEMORY) if no_memory else InternalFailure(FAILED))

    def _step(self, lane: Lane) -> None:
        started = time.monotonic()
        network = self.networks[lane.key.network]
        if network.grow(lane.key.area, started):
            log.info("%s: trying %d rows again", network.name, network.rows_for(lane.key.area))
        max_rows = 1 if self.exclusive else network.rows_for(lane.key.area)
        formed = lane.form(started, max_rows)
        lane.last_served = started
        with self.watchdog.watch(self._activity(lane.key, sum(run.work.rows for run in formed))):
            self._take_step(lane.key, network, formed, started)

    def _activity(self, lane: BatchKey, rows: int) -> Activity:
        """A step, as the watchdog sees it."""
        details = {"network": lane.network, "batch_key": lane, "rows": rows}
        return Activity(
            f"a step of {lane.network}",
            lambda: self.watchdog.timeouts.of_step(self.cost.forecast(lane, rows)),
            details,
        )

    def _take_step(
        self, lane: BatchKey, network: DeviceNetwork, formed: Sequence[Run[Any]], started: float
    ) -> None:
        runs = [run for run in formed if self._begin(run, started)]
        if not runs:
            return
        self._place(network.name, started)
        spans, rows, advanced = [], 0, []
        for outcome in Batch(network, runs, self.observers, self.device).execute():
            rows += outcome.rows
            spans += [outcome.span] if outcome.span else []
            moved = advance_together(outcome.shares)
            advanced += [
                run for run, outputs in outcome.shares if run in moved or self._advance(run, outputs)
            ]
        # What the step before brought: the event loop works on it while the device works on this one.
        self._outbox.send()
        self.device.wait(self.device.mark())
        for run in advanced:
            self._conclude(run)
        network_seconds = sum(self.device.seconds(*span) for span in spans)
        members = tuple((run.ticket, run.trajectory.step) for run in runs)
        ended = time.monotonic()
        for run in runs:
            run.leave_slot(ended)
        seconds = ended - started
        if rows:  # a call that failed for every run says nothing of the cost
            self.cost.observe(lane, rows, seconds)
        report = StepReport(lane, network.stage, network.backend, rows, network_seconds, seconds, members)
        for observer in self.observers:
            observer.on_step(report)

    def _begin(self, run: Run[Any], now: float) -> bool:
        run.take_slot(now)
        if run.started is None:
            run.started = now
            return self._guard(run, run.trajectory.start)
        return True

    def _advance(self, run: Run[Any], outputs: tuple[torch.Tensor, ...] | ServingError) -> bool:
        """Queues what a trajectory makes of its outputs, and reads nothing of it; returns whether it goes on."""
        if isinstance(outputs, ServingError):
            self._fail(run, outputs)
            return False
        trajectory = run.trajectory
        return self._guard(run, lambda: trajectory.advance(outputs))

    def _conclude(self, run: Run[Any]) -> None:
        """Posts how far a trajectory is, or its result: the device has been waited for."""
        trajectory = run.trajectory
        if trajectory.step >= trajectory.step_count:
            self._guard(run, lambda: self._finish(run, trajectory.result()))
        else:
            self._guard(run, lambda: self._show(run))

    def _show(self, run: Run[Any]) -> None:
        """Posts how far a trajectory is, with a preview and a checkpoint where they are due."""
        trajectory = run.trajectory
        update = Update(
            trajectory.step,
            trajectory.step_count,
            trajectory.snapshot() if _due(trajectory.step, run.preview_interval) else None,
            trajectory.checkpoint() if _due(trajectory.step, run.checkpoint_interval) else None,
        )
        self._outbox.add(run.post_update, update)

    def _guard(self, run: Run[Any], action: Callable[[], None]) -> bool:
        """Runs one trajectory's own code; its fault fails its request and no other, unless the device is lost by it."""
        try:
            action()
        except ServingError as error:
            self._fail(run, error)
            return False
        except Exception as error:
            if is_fatal(error):
                raise
            log.exception("trajectory failed", extra={"request_id": run.ticket.request_id})
            what = "the server failed on this request; its log has the details"
            self._fail(run, BackendFailed(NO_MEMORY) if is_out_of_memory(error) else InternalFailure(what))
            return False
        return True

    def _finish(self, run: Run[Any], value: object) -> None:
        step_count = run.trajectory.step_count
        checkpoint = run.trajectory.checkpoint() if run.checkpoint_interval else None
        self._outbox.add(run.post_update, Update(step_count, step_count, checkpoint=checkpoint))
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
        self._outbox.add(self._leave, run)
        self._outbox.add(post, value)


def _due(step: int, interval: int) -> bool:
    """Whether something that comes every ``interval`` steps, or never, comes now."""
    return interval > 0 and step % interval == 0
