"""Loads a model: every stage from its source, every network through the backend."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from kandinsky_backends.background import BackgroundBackend, Preparation
from kandinsky_backends.checksum import checksums
from kandinsky_backends.device_errors import is_fatal
from kandinsky_backends.eager import EagerBackend, EagerNetwork
from kandinsky_backends.parity import Fallback, PreparedNetwork
from kandinsky_backends.unprepared import unprepared_calls
from torch import nn

from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.diffusion.model import Model, StageReport
from kandinsky_server.engine.network import DeviceNetwork, Returns
from kandinsky_server.engine.report import Observer
from kandinsky_server.families.network_spec import NetworkSpec
from kandinsky_server.families.stages import DecoderStage, PriorStage
from kandinsky_server.startup.fitting import prepare_what_fits
from kandinsky_server.startup.load_options import LoadOptions
from kandinsky_server.startup.takeover import Takeover, tell_fallback

log = logging.getLogger(__name__)

MAX_ROWS = 32
MAX_SINGLE_ROWS = 8
"""For networks that are called once a request: enough to share, little enough to fit."""

WORTHWHILE_ROW_COST_RATIO = 0.95
"""Such a network gets more rows only while each costs at most this many times one of the batch half as large: waiting for
company delays the first, and large pictures outgrow a CPU's caches (MoVQ in eager: 52 ms alone, 87 ms each of eight)."""

MIN_MEASURED_ROWS = 8
MAX_ROW_COST_RATIO = 1.25
"""A larger batch is allowed while a row of it costs at most this many times the cheapest row measured; up to
``MIN_MEASURED_ROWS`` always, since one disturbed measurement must not cost all sharing."""

MEASUREMENTS = 2
"""Of each number of rows, of which the quicker counts: the first one pays for warm-up."""

PREPARING = "it is being prepared, and eager serves until then"


class ModelLoader:
    """Fills a `Model`, stage by stage. ``observers`` hear of backends that eager takes over from.

    Each stage is loaded, and each network prepared, within ``watch`` of what is being done. What takes long to prepare
    is left in ``takeovers`` unless the backend is strict: eager serves until then.
    """

    def __init__(
        self,
        options: LoadOptions,
        model: Model,
        observers: Sequence[Observer] = (),
        watch: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.options = options
        self.model = model
        self.observers = observers
        self.watch = watch
        self.takeovers: list[Takeover] = []
        offloaded = torch.device("cpu") if options.residency else None
        self.checkpoints = Checkpoints(options.device, options.dtype, offloaded, model.family)
        self._release = getattr(options.backend, "release", None)
        self._movq_suffixes: dict[str, str] = {}

    def load(self) -> None:
        """Loads and prepares every stage that has a source.

        Raises:
            CheckpointError: when one cannot be loaded.
            BackendUnavailable: when the backend cannot run one, in strict mode.
        """
        model = self.model
        for name, source in model.sources.given().items():
            started = time.monotonic()
            with self._phase(f"loading {name}"):
                stage = self.checkpoints.load(name, source)
            stage, parts = self._parts(stage)
            prepared = {}
            for number, part in enumerate(parts, 1):
                where = f"network {number} of {len(parts)} of {name}"
                with self._phase(f"preparing {part.name} for {self.options.backend.name}: {where}"):
                    prepared[part.name] = self._prepare(name, part)
            model.add(stage)
            seconds = time.monotonic() - started
            own, *_ = stage.networks
            model.reports[name] = StageReport(prepared, seconds, _count(own))
            log.info("loaded %s from %s in %.1f s", name, source, seconds)
        with self._phase("loading depth"):
            model.depth.load()
        model.networks["depth"] = DeviceNetwork(
            "depth", "depth", "eager", model.depth, max_rows=1, release=self._release
        )
        model.status = ""

    @contextmanager
    def _phase(self, what: str) -> Iterator[None]:
        self.model.status = what
        with self.watch(what):
            yield

    def _parts(self, stage: PriorStage | DecoderStage) -> tuple[PriorStage | DecoderStage, list[NetworkSpec]]:
        """The stage, which now knows its MoVQ's networks, and its parts, its own network first.

        What another stage already prepared is left out.
        """
        if isinstance(stage, PriorStage):
            return stage, stage.parts()
        suffixes = self._movq_suffixes
        known = stage.movq_key in suffixes
        suffix = suffixes.setdefault(stage.movq_key, f"_{stage.name}" if suffixes else "")
        stage = replace(stage, movq_suffix=suffix)
        return stage, stage.parts(self.options.sizes, movq=not known)

    def _prepare(self, stage: str, part: NetworkSpec) -> PreparedNetwork:
        options = self.options
        log.info("preparing %s for %s", part.name, options.backend.name)
        if options.residency:
            options.residency.add(part.name, part.module)
            options.residency.ensure(part.name)
        most = min(options.prepared_rows, options.max_batch_rows or MAX_ROWS)
        # Before the backend gets them.
        weights = {} if isinstance(options.backend, EagerBackend) else checksums(part.module)
        preparation = self._begin(part, most)
        eager = PreparedNetwork(EagerNetwork(part.module), "eager")
        prepared = (
            eager
            if preparation
            else prepare_what_fits(options.backend, part, weights, most, options.dtype, options.strict)
        )
        tell_fallback(self.observers, part.name, prepared)
        network = DeviceNetwork(
            part.name,
            part.name,
            prepared.backend_name,
            prepared.network,
            max_rows=1,
            fallback=None if prepared.backend_name == "eager" else EagerNetwork(part.module),
            returns=Returns(part.returns, options.dtype),
            release=self._release,
        )
        self.model.networks[part.name] = network
        self._bound(part, network)
        self._listen(part, prepared)
        if preparation is None:
            return prepared
        takeover = Takeover(
            stage,
            part,
            network,
            options.backend,
            preparation,
            weights,
            most,
            options.dtype,
            partial(self._listen, part),
            partial(self._bound, part, network),
        )
        self.takeovers.append(takeover)
        return replace(prepared, fallback=Fallback(options.backend.name, "Preparing", PREPARING))

    def _begin(self, part: NetworkSpec, most: int) -> Preparation | None:
        """What is prepared while eager serves; None where it is prepared now."""
        backend = self.options.backend
        if self.options.strict or not isinstance(backend, BackgroundBackend):
            return None
        return backend.begin(part.module, part.role, part.warm_shapes(most))

    def _listen(self, part: NetworkSpec, prepared: PreparedNetwork) -> None:
        """From here on calls are requests'."""
        if unprepared := unprepared_calls(prepared.network):
            unprepared.listener = lambda: self._on_unprepared(part.name)

    def _on_unprepared(self, network: str) -> None:
        for observer in self.observers:
            observer.on_unprepared(network)

    def _bound(self, part: NetworkSpec, network: DeviceNetwork) -> None:
        """Finds how many rows, and pixels, a call of the network gets."""
        options = self.options
        network.max_rows = options.max_batch_rows or (MAX_ROWS if part.steps else MAX_SINGLE_ROWS)
        self._measure(part, network)
        # What was measured at one size holds for others by area.
        network.max_pixels = options.max_batch_pixels or network.max_rows * part.lane.area

    @torch.no_grad()
    def _measure(self, part: NetworkSpec, network: DeviceNetwork) -> None:
        """Times growing batches, to seed the cost model and to find where more rows stop paying, or fitting."""
        best, rows, most = float("inf"), 1, 1
        while rows <= network.max_rows:
            try:
                seconds = self._time(part, network, rows)
            except Exception as error:
                if rows == 1 or is_fatal(error):
                    raise
                log.warning("%s cannot take %d rows, so it gets %d at most: %s", part.name, rows, most, error)
                network.max_rows = most
                return
            for _ in range(MEASUREMENTS):
                self.model.cost.observe(part.lane, rows, seconds)
            if not _pays(part, rows, seconds / rows, best):
                break
            best = min(best, seconds / rows)
            most, rows = rows, rows * 2
        if self.options.max_batch_rows is None:
            network.max_rows = max(most, MIN_MEASURED_ROWS) if part.steps else most

    def _time(self, part: NetworkSpec, network: DeviceNetwork, rows: int) -> float:
        inputs = part.shapes[0](rows).random_inputs(self.options.device)
        times = []
        for _ in range(MEASUREMENTS):
            started = time.monotonic()
            output = network.call(*inputs)[0]
            if output.is_cuda:
                torch.cuda.synchronize(output.device)
            times.append(time.monotonic() - started)
        return min(times)


def _pays(part: NetworkSpec, rows: int, seconds: float, best: float) -> bool:
    """Whether so many rows at ``seconds`` each are worth it; ``best`` is a row's time in the best smaller batch."""
    if part.steps:
        # Never before as many rows as it will get have been seen to fit.
        return rows < MIN_MEASURED_ROWS or seconds <= MAX_ROW_COST_RATIO * best
    return seconds <= WORTHWHILE_ROW_COST_RATIO * best


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
