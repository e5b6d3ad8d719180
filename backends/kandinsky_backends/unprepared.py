"""Calls that a backend serves eagerly since it has not prepared the network for their shapes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from torch import Tensor

from kandinsky_backends.base import Role

logger = logging.getLogger(__name__)


class UnpreparedCalls:
    """Counts them, and logs each shape once.

    A network that has such calls keeps this as its attribute ``unprepared``; the server sets ``listener``, which is
    called once for each call, on the thread that calls the network.
    """

    def __init__(self, role: Role) -> None:
        self.count = 0
        self.listener: Callable[[], None] = lambda: None
        self._role = role
        self._told: set[tuple[int, ...]] = set()

    def note(self, inputs: Sequence[Tensor], why: str = "it is not prepared for it") -> None:
        """One call with ``inputs``, which the shape of the first stands for, is about to run eagerly."""
        self.count += 1
        self.listener()
        shape = tuple(inputs[0].shape)
        if shape not in self._told:
            self._told.add(shape)
            logger.info(
                "The %s network runs eagerly on %s: %s. Told once for this shape.", self._role, shape, why
            )


def unprepared_calls(network: object) -> UnpreparedCalls | None:
    """The counter of a prepared network, if it has one."""
    found = getattr(network, "unprepared", None)
    return found if isinstance(found, UnpreparedCalls) else None
