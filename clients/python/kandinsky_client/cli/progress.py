"""Progress bars on a terminal's stderr; silence elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import rich.progress
from rich.console import Console

from kandinsky_client.events import Event, Progress, Queued


class Bars:
    """One bar a trajectory, and a line while the request waits."""

    def __init__(self, bars: rich.progress.Progress) -> None:
        self._bars = bars
        self._waiting = bars.add_task("waiting", total=None)
        self._tasks: dict[tuple[str, int], rich.progress.TaskID] = {}

    def show(self, event: Event) -> None:
        """Draws what happened."""
        if isinstance(event, Queued):
            description = f"waiting, {event.position} before it, about {event.start_seconds:.1f} s"
            self._bars.update(self._waiting, description=description, visible=True)
        else:
            self._bars.update(self._waiting, visible=False)
        if isinstance(event, Progress):
            key = (event.stage, event.index)
            if key not in self._tasks:
                description = f"{event.stage} {event.index}"
                self._tasks[key] = self._bars.add_task(description, total=event.step_count)
            self._bars.update(self._tasks[key], completed=event.step)


def visible() -> bool:
    """Tells whether anyone would see bars."""
    return Console(stderr=True).is_terminal


def watched(events: Iterable[Event]) -> list[Event]:
    """Takes a whole stream, drawing on the way; the bars are gone at the end."""
    with _bars() as bars:
        taken = []
        for event in events:
            bars.show(event)
            taken.append(event)
        return taken


@contextmanager
def _bars() -> Iterator[Bars]:
    columns = (
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not visible()
    ) as bars:
        yield Bars(bars)
