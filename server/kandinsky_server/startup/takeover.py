"""Networks that eager serves until their backend is ready, and how it takes over while requests run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from kandinsky_backends.background import FinishedBackend, Preparation
from kandinsky_backends.base import Backend, WeightsChanged
from kandinsky_backends.device_errors import is_fatal
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.parity import Fallback, PreparedNetwork, refuse_changed

from kandinsky_server.engine.errand import Errand
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.report import Observer
from kandinsky_server.families.network_spec import NetworkSpec
from kandinsky_server.startup.fitting import prepare_what_fits

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Takeover:
    """A network of a stage, ``network`` as eager serves it, and what its backend makes of it for up to ``most`` rows.

    ``weights`` are the network's checksums from before the backend got it. ``listen`` is called with what takes over
    before it does, and ``bound`` after it has, where that takes a moment: for networks that are called once a request.
    """

    stage: str
    part: NetworkSpec
    network: DeviceNetwork
    backend: Backend
    preparation: Preparation
    weights: Mapping[str, int]
    most: int
    dtype: torch.dtype
    listen: Callable[[PreparedNetwork], None]
    bound: Callable[[], None]

    def end(self, failure: Exception | None) -> PreparedNetwork:
        """What serves from now on: the backend if it passes the parity gate, else eager, as where it had a ``failure``.

        On the thread that calls the network; takes two calls of each by it and by eager. Raises what loses the device,
        and WeightsChanged where eager cannot serve either.
        """
        try:
            if failure is not None:
                message = f"The backend '{self.backend.name}' failed to prepare {self.part.name}."
                refuse_changed(self.part.module, self.weights, message, failure)
                raise failure
            backend = FinishedBackend(self.backend, self.preparation)
            prepared = prepare_what_fits(backend, self.part, self.weights, self.most, self.dtype, False)
            if prepared.fallback is None:
                self._serve(prepared)
            return prepared
        except Exception as error:
            if is_fatal(error) or isinstance(error, WeightsChanged):
                raise
            log.exception("%s cannot take over %s", self.backend.name, self.part.name)
            fallback = Fallback(self.backend.name, type(error).__name__, str(error))
            return PreparedNetwork(EagerNetwork(self.part.module), "eager", fallback=fallback)

    def _serve(self, prepared: PreparedNetwork) -> None:
        """Puts it in eager's place; raises what it raises when it is measured, and then eager is back."""
        network, eager = self.network, replace(self.network)
        self.listen(prepared)
        network.call, network.backend = prepared.network, prepared.backend_name
        network.fallback = EagerNetwork(self.part.module)
        if self.part.steps:
            return
        try:
            self.bound()
        except Exception:
            network.call, network.backend, network.fallback = eager.call, eager.backend, eager.fallback
            network.max_rows, network.max_pixels = eager.max_rows, eager.max_pixels
            raise


class Takeovers:
    """Waits for preparations on a thread of its own, one after another, and has the engine's thread end them.

    ``on_end`` hears on the engine's thread what serves a network from now on.
    """

    def __init__(
        self,
        takeovers: Sequence[Takeover],
        between_steps: Callable[[Errand], None],
        on_end: Callable[[Takeover, PreparedNetwork], None],
    ) -> None:
        self._takeovers = takeovers
        self._between_steps = between_steps
        self._on_end = on_end
        self._stopped = False

    def start(self) -> None:
        """Starts the thread, if there is anything to wait for."""
        if self._takeovers:
            threading.Thread(target=self._run, name="takeovers", daemon=True).start()

    def stop(self) -> None:
        """Lets nothing more be prepared."""
        self._stopped = True
        for takeover in self._takeovers:
            takeover.preparation.cancel()

    def _run(self) -> None:
        for takeover in self._takeovers:
            failure = None
            try:
                takeover.preparation.wait()
            except Exception as error:
                failure = error
            if self._stopped:
                return
            name = f"putting {takeover.backend.name} in eager's place for {takeover.part.name}"
            self._between_steps(Errand(name, partial(self._end, takeover, failure), prepares=True))

    def _end(self, takeover: Takeover, failure: Exception | None) -> None:
        self._on_end(takeover, takeover.end(failure))


def tell_fallback(observers: Iterable[Observer], network: str, prepared: PreparedNetwork) -> None:
    """Has ``observers`` hear when eager serves a network in a backend's place."""
    if fallback := prepared.fallback:
        for observer in observers:
            observer.on_fallback(network, network, fallback.backend_name, fallback.kind)
