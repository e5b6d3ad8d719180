"""A network of a running server whose calls a test sees first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kandinsky_server.engine.network import Call, DeviceNetwork
from kandinsky_server.engine.room import Room
from kandinsky_server.testing.running import RunningServer
from torch import Tensor

from tests.support.patience import eventually

Around = Callable[[Call, tuple[Tensor, ...]], tuple[Tensor, ...]]


def wrap(
    server: RunningServer, patch: pytest.MonkeyPatch, around: Around, backend: str = "eager"
) -> DeviceNetwork:
    """Lets ``around`` make the decoder's calls. With another ``backend`` than eager, eager can take over.

    Whatever the engine does to the network in return is undone when ``patch`` is.
    """
    network: DeviceNetwork = server.app.model.networks["decoder"]
    inner = network.call
    patch.setattr(network, "max_rows", network.max_rows)
    patch.setattr(network, "room", Room())
    patch.setattr(network, "backend", backend)
    patch.setattr(network, "fallback", None if backend == "eager" else inner)
    patch.setattr(network, "call", lambda *inputs: around(inner, inputs))
    return network


def once_together(server: RunningServer, runs: int, around: Around) -> Around:
    """Holds the first call until so many runs have come: from the second on they share every call."""
    seen: list[Any] = []

    def held(inner: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not seen:
            seen.append(inputs)
            eventually(lambda: len(server.app.engine.active) >= runs)
        return around(inner, inputs)

    return held
