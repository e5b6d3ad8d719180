"""Notices what hangs: a thread that looks at what others are doing, and for how long already."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5

LEAST_STEP_SECONDS = 60.0
FORECASTS = 20.0
"""A step hangs when it takes longer than both: so many seconds, and so many times its forecast."""

FIRST_STEP_SECONDS = 600.0
"""For a network that was never timed: its first call may load kernels or tune itself."""

LAST_WORDS_SECONDS = 10.0
"""From the moment that a hang is told until this process is gone."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds. ``step`` None goes by the forecast; ``load`` is for loading a stage, and for preparing a network."""

    step: float | None = None
    load: float = 3600.0

    def of_step(self, forecast: float | None) -> float:
        """For a step that is predicted to take ``forecast`` seconds; None: nobody knows."""
        if self.step is not None:
            return self.step
        return FIRST_STEP_SECONDS if forecast is None else max(LEAST_STEP_SECONDS, FORECASTS * forecast)


@dataclass(frozen=True, eq=False)
class Activity:
    """What a thread is doing. ``limit`` says how many seconds it may take, ``details`` are for the log."""

    name: str
    limit: Callable[[], float]
    details: Mapping[str, object] = field(default_factory=dict)
    thread: int = field(default_factory=threading.get_ident)

    def stack(self) -> str:
        """Where its thread is now."""
        frame = sys._current_frames().get(self.thread)
        return "".join(traceback.format_stack(frame)) if frame else "its thread has ended"


class Watchdog:
    """Tells ``on_hang`` once, in a sentence and on its own thread, when an activity takes longer than it may.

    Time counts only while this thread runs: a look adds ``LOOK_SECONDS`` at most to what it sees. So a process that was
    stopped, or a machine that slept, finds on waking that no more time has passed than before.

    ``beat`` is called at every look with the seconds within which the next one must come: see `Backstop`.
    """

    def __init__(
        self, timeouts: Timeouts | None = None, beat: Callable[[float], None] = lambda seconds: None
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self._beat = beat
        self._ages: dict[Activity, float] = {}
        self._activities: set[Activity] = set()
        self._stopped = threading.Event()

    @contextmanager
    def watch(self, activity: Activity) -> Iterator[None]:
        """Watches an activity of the thread that calls."""
        self._activities.add(activity)
        try:
            yield
        finally:
            self._activities.discard(activity)

    @contextmanager
    def loading(self, name: str) -> Iterator[None]:
        """Watches something that is loaded or prepared."""
        with self.watch(Activity(name, lambda: self.timeouts.load)):
            # It may hold Python's lock before the next look; so may what comes next, which may take less time.
            self._allow()
            yield
        self._allow()

    def start(self, on_hang: Callable[[str], None]) -> None:
        """Starts the thread."""
        self._on_hang = on_hang
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread, which was to see to it that this process lives on."""
        self._stopped.set()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stopped.wait(LOOK_SECONDS):
            now = time.monotonic()
            hanging = self._look(min(now - last, LOOK_SECONDS))
            last = now
            if hanging is not None:
                self._beat(LAST_WORDS_SECONDS)
                self._tell(hanging)
                return
        self._beat(LEAST_STEP_SECONDS)

    def _look(self, seconds: float) -> Activity | None:
        """Adds ``seconds`` to the age of all that goes on; returns what is too old."""
        self._ages = {
            activity: self._ages.get(activity, 0.0) + seconds for activity in list(self._activities)
        }
        self._allow()
        return next((activity for activity, age in self._ages.items() if age > activity.limit()), None)

    def _allow(self) -> None:
        """Beats: until the next look may come what the longest activity may take, or a step that is about to begin."""
        limits = [activity.limit() for activity in list(self._activities)]
        self._beat(max([self.timeouts.step or LEAST_STEP_SECONDS, *limits]) + LAST_WORDS_SECONDS)

    def _tell(self, activity: Activity) -> None:
        seconds = round(self._ages[activity], 1)
        sentence = f"{activity.name} has taken {seconds} s, where {activity.limit():.1f} s are allowed"
        log.critical(
            "%s: the device hangs, and nothing can be served any more",
            sentence,
            extra={**activity.details, "seconds": seconds, "stack": activity.stack()},
        )
        self._on_hang(sentence)
