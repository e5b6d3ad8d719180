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

    def finish(self) -> Network:
        """The prepared network, within seconds. After `wait`, on the thread that will call it.

        Called again where the device had no memory for as many rows; the network before is let go then.
        """
        ...


@runtime_checkable
class BackgroundBackend(Backend, Protocol):
    """A backend that can prepare a network in the background, too."""

    def begin(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Preparation | None:
        """Starts to do what ``prepare`` does; None where ``prepare`` takes seconds, as for what was kept in a cache."""
        ...


class FinishedBackend:
    """Takes a preparation for a backend, so that the parity gate can hold its network to eager.

    ``failure`` is what its ``wait`` raised.
    """

    def __init__(self, backend: Backend, preparation: Preparation, failure: Exception | None = None) -> None:
        self.name = backend.name
        self._backend = backend
        self.exact = getattr(backend, "exact", False)
        self.probe = backend.probe
        self._preparation = preparation
        self._failure = failure

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """The preparation's network; raises what kept it from being prepared."""
        if self._failure:
            raise self._failure
        return self._preparation.finish()

    def release(self) -> None:
        """Gives back what the backend's networks hold, where it can."""
        if release := getattr(self._backend, "release", None):
            release()
