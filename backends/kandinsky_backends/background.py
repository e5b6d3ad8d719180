"""Backends that need long to prepare a network: eager serves until they are ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import nn

from kandinsky_backends.base import Backend, BatchShape, Network, Role


class Preparation(Protocol):
    """A network that is being prepared, while others serve."""

    def wait(self) -> None:
        """Returns when all is done but what `finish` does. On any thread; it runs nothing on a GPU.

        Raises:
            Exception: the network cannot be prepared.
        """
        ...

    def cancel(self) -> None:
        """Makes `wait` raise soon; nobody wants the network any more."""
        ...

    def finish(self, rows: int) -> Network:
        """The prepared network, within seconds. After `wait`, on the thread that will call it.

        It will be called with up to ``rows`` rows: as many as ``begin`` was told or, where the device had no memory
        for those, fewer. Then this is called again, and the network before is let go.
        """
        ...


@runtime_checkable
class BackgroundBackend(Backend, Protocol):
    """A backend that can prepare a network in the background, too."""

    def begin(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Preparation | None:
        """Starts to do what ``prepare`` does; None where ``prepare`` takes seconds, as for what was kept in a cache."""
        ...


class FinishedBackend:
    """Takes a preparation for a backend, so that the parity gate can hold its network to eager; ``wait`` has returned."""

    def __init__(self, backend: Backend, preparation: Preparation) -> None:
        self.name = backend.name
        self.release = getattr(backend, "release", None)
        self.exact = getattr(backend, "exact", False)
        self.probe = backend.probe
        self._preparation = preparation

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """The preparation's network."""
        return self._preparation.finish(max(shape.rows for shape in shapes))
