"""The engine as the event loop sees it: trajectories go in, runs come out, and one thread owns the device."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from kandinsky_backends.device_errors import is_fatal

from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.device import Device, Host
from kandinsky_server.engine.errand import Errand
from kandinsky_server.engine.followers import Followers
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.outbox import Outbox
from kandinsky_server.engine.report import Observer
from kandinsky_server.engine.residency import Residency
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.step_loop import FAILED, StepLoop
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.trajectory import Trajectory
from kandinsky_server.engine.watchdog import Watchdog
from kandinsky_server.engine.work import Work
from kandinsky_server.errors import DeviceHung, DeviceLost, InternalFailure, ServingError

STOP_SECONDS = 5.0
"""How long ``stop`` waits for the present step; whoever waited for its results has been answered by then."""

GONE_RETRY_SECONDS = 5.0
"""When to try again after a hang, or without a device: by then this process is gone, and another may serve."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Engine:
    """Starts the thread that steps trajectories, and ends it. All of it belongs to the event loop, but for `_run`.

    ``exclusive`` gives every trajectory its own network call, so that no result depends on its neighbours, bit for bit.
    ``observers`` may be added to.
    """

    def __init__(
        self,
        networks: Mapping[str, DeviceNetwork],
        cost: CostModel,
        observers: Iterable[Observer] = (),
        exclusive: bool = False,
        residency: Residency | None = None,
        watchdog: Watchdog | None = None,
        device: Device[Any] | None = None,
    ) -> None:
        self.networks = networks
        self.cost = cost
        self.exclusive = exclusive
        self.watchdog = watchdog or Watchdog()
        self.device = device or Host()
        self._observers = list(observers)
        self.active: set[Run[Any]] = set()
        self._steps = StepLoop(
            networks,
            cost,
            self._observers,
            exclusive,
            residency,
            self.watchdog,
            self.device,
            self.active.discard,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failed = asyncio.Event()
        """Set when the thread ended by a fault of its own, or something hangs: nothing is served any more."""
        self._failure: ServingError | None = None

    @property
    def observers(self) -> list[Observer]:
        """Who hears of each step, on the engine's thread."""
        return self._observers

    async def start(self, prepare: Callable[[], None] = lambda: None) -> None:
        """Starts the thread, which does ``prepare`` and then steps; raises what ``prepare`` raised, or DeviceHung.

        Networks are loaded by the thread that will call them: OpenMP keeps threads for every thread that calls torch,
        and where they are more than the cores it lets them sleep at every turn, at twice the time a step. CUDA graphs
        belong to the thread that recorded them. Results are delivered on the running event loop.
        """
        self._loop = asyncio.get_running_loop()
        outbox = Outbox(self._loop)
        prepared: Future[None] = Future()
        prepared.set_running_or_notify_cancel()
        self._thread = threading.Thread(
            target=self._run, args=(prepare, prepared, outbox), name="engine", daemon=True
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
        """Returns unless this process is about to end.

        Raises:
            DeviceHung: something hangs.
            DeviceLost: the device can do nothing more for this process.
            InternalFailure: the thread failed otherwise.
        """
        if self._failure:
            raise self.failure()

    def submit(
        self,
        work: Work[T],
        trajectory: Trajectory[T],
        ticket: Ticket,
        preview_interval: int = 0,
        followers: Followers | None = None,
        needs_reader: bool = False,
        checkpoint_interval: int = 0,
    ) -> Run[T]:
        """Puts a trajectory into the lane of the ``work`` that it does; it joins the batch at the next step."""
        ticket.planned.drop(work)
        run = Run(work, trajectory, ticket, preview_interval, followers, needs_reader, checkpoint_interval)
        if self.failed.is_set():
            run.post_failure(self.failure())
            return run
        self.active.add(run)
        self._steps.put(run)
        return run

    def between_steps(self, errand: Errand) -> None:
        """Has the thread do something between two steps, such as to put a network in another's place. From any thread."""
        self._steps.put(errand)

    def resting(self) -> bool:
        """Whether nothing takes a step: there is no run, or all wait for their readers."""
        return all(run.paused for run in self.active)

    def hand_over(self, failure: ServingError) -> None:
        """Ends every request that can go on elsewhere, after the present step, with a last checkpoint of its runs."""
        self.between_steps(Errand("handing over", lambda: self._steps.hand_over(failure)))

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
        self._steps.stop()
        await asyncio.to_thread(self._thread.join, 0 if self.failed.is_set() else STOP_SECONDS)

    # ------------------------------------------------------------------------------------------ the thread

    def _run(self, prepare: Callable[[], None], prepared: Future[None], outbox: Outbox) -> None:
        try:
            self.device.enter()
            prepare()
        except BaseException as error:
            prepared.set_exception(error)
            return
        prepared.set_result(None)
        try:
            self._steps.run(outbox)
        except BaseException as error:
            lost = is_fatal(error)
            what = "the device is lost" if lost else "the engine's thread failed"
            log.critical("%s; nothing can be served any more", what, exc_info=True)
            self._give_up(_lost() if lost else InternalFailure(FAILED))

    def _on_hang(self, what: str) -> None:
        """On the watchdog's thread."""
        self._give_up(_hung(what))

    def _give_up(self, failure: ServingError) -> None:
        """On any thread: the engine's own is gone, or as good as gone."""
        self._failure = self._failure or failure
        assert self._loop is not None
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._collapse)

    def _collapse(self) -> None:
        """On the event loop."""
        self.failed.set()
        self.abandon(self.failure())

    def failure(self) -> ServingError:
        """What everybody is told who waits for the thread, once it is gone."""
        return self._failure or InternalFailure(FAILED)


def _hung(what: str) -> ServingError:
    return DeviceHung(
        f"this server's device hangs ({what}) and it ends; another replica can serve this", GONE_RETRY_SECONDS
    )


def _lost() -> ServingError:
    return DeviceLost(
        "this server lost its device and ends; another replica can serve this", GONE_RETRY_SECONDS
    )
