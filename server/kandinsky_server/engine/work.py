"""What a request will have the engine do, said once: admission and forecasts read it, the request's flow runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kandinsky_server.engine.trajectory import BatchKey, Trajectory

T = TypeVar("T")

PREVIEW_STEPS = 2
"""From one preview of an image to the next, at the least. The step after the one that is shown has begun by the time the
preview is asked for, and what comes of that step is not shown while the preview is being made."""


@dataclass(frozen=True)
class Shown:
    """A preview after every ``interval`` steps, each a call of one row with batch key ``key``, beside the steps."""

    key: BatchKey
    interval: int

    def count(self, steps: int) -> int:
        """How many there will be for a client that reads them at once; the last step makes none."""
        return len(range(self.interval, steps, max(self.interval, PREVIEW_STEPS)))


@dataclass(eq=False)
class Work(Generic[T]):
    """``steps`` network calls of ``rows`` rows each with batch key ``key``, when all that it ``needs`` has ended.

    ``make`` makes the trajectory that does it, of what its flow knows by then. ``denoising`` is False for what takes no
    place in the queue: the single calls of encoders and MoVQ, and the wait for another request's steps, whose rows are 0.
    Previews are ``shown`` while it runs, or none.
    Two works that look alike are two: they are told apart by identity.
    """

    key: BatchKey
    rows: int
    steps: int
    make: Callable[..., Trajectory[T]]
    needs: tuple[Work[Any], ...] = ()
    denoising: bool = True
    shown: Shown | None = None

    def begin(self, *materials: Any) -> Trajectory[T]:
        """The trajectory, which does what was forecast."""
        trajectory = self.make(*materials)
        left = trajectory.step_count - trajectory.step
        assert (trajectory.rows, left) == (self.rows, self.steps), "it does what was not planned"
        return trajectory

    def follow(self, steps: int) -> None:
        """Another request does it, and has so many steps left: from now on this is a wait."""
        self.rows, self.steps = 0, steps


def single_call(
    key: BatchKey, make: Callable[..., Trajectory[T]], needs: tuple[Work[Any], ...] = ()
) -> Work[T]:
    """One call of one row."""
    return Work(key, 1, 1, make, needs, denoising=False)


def wait(key: BatchKey, steps: int) -> Work[Any]:
    """The steps that another request has left, whose result this one takes as well. Nothing runs it."""
    return Work(key, 0, steps, _nothing, denoising=False)


def _nothing(*_: Any) -> Trajectory[Any]:
    raise AssertionError("a wait makes no trajectory")


class Plan:
    """The work of an admitted request that has not begun, in order."""

    def __init__(self) -> None:
        self._works: dict[Work[Any], None] = {}

    def __iter__(self) -> Iterator[Work[Any]]:
        return iter(self._works)

    def add(self, works: Iterable[Work[Any]]) -> None:
        """Puts in what is to be done."""
        self._works.update(dict.fromkeys(works))

    def drop(self, *works: Work[Any]) -> None:
        """Takes out what begins now, or is done by another request. Harmless for what is not in it."""
        for work in works:
            self._works.pop(work, None)

    def clear(self) -> None:
        """The request has ended: nothing of it is kept by who still knows its ticket."""
        self._works.clear()


@dataclass(frozen=True)
class Remaining:
    """Work with ``steps`` still to take: all of them, or what a running one has left."""

    work: Work[Any]
    steps: int


def whole(works: Iterable[Work[Any]]) -> list[Remaining]:
    """Works of which nothing has been done."""
    return [Remaining(work, work.steps) for work in works]
