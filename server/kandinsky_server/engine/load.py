"""Work to come, as forecasts and admission count it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kandinsky_server.engine.trajectory import LaneKey


@dataclass(frozen=True)
class Load:
    """``steps`` network calls of ``rows`` rows each in a lane; ``then`` is what can only begin after the last.

    ``denoising`` is False for what takes no place in the queue: the single calls of encoders and MoVQ, and the wait for
    another request's steps, whose rows are 0.
    """

    lane: LaneKey
    rows: int
    steps: int
    then: tuple[Load, ...] = ()
    denoising: bool = True

    def all(self) -> Iterator[Load]:
        """This and everything that comes after it."""
        yield self
        for load in self.then:
            yield from load.all()


def single_call(lane: LaneKey, then: tuple[Load, ...] = ()) -> Load:
    """One call of one row."""
    return Load(lane, 1, 1, then, denoising=False)
