"""Everything that is loaded: stages, their prepared networks, and what was measured while preparing them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from kandinsky_backends.base import Backend, BatchShape, NamedNetwork, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.parity import PreparedNetwork, prepare_with_parity
from torch import nn

from kandinsky_server.diffusion import networks, shapes
from kandinsky_server.diffusion.checkpoint import Checkpoints, DecoderStage, PriorStage
from kandinsky_server.diffusion.depth import DepthEstimator
from kandinsky_server.diffusion.schedule import StepCounter
from kandinsky_server.diffusion.source import Sources
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.trajectory import LaneKey

log = logging.getLogger(__name__)

PARITY_ROWS = (1, 2, 4)
MAX_ROWS = 32
MIN_MEASURED_ROWS = 8
WORTH = 1.25
"""A larger batch is allowed while a row of it costs at most this many times the cheapest row measured; up to
``MIN_MEASURED_ROWS`` always, since one disturbed measurement must not cost all sharing."""


@dataclass(frozen=True)
class ModelOptions:
    """``max_batch_rows`` None measures where more rows stop paying."""

    device: torch.device
    dtype: torch.dtype
    backend: Backend
    strict: bool = False
    max_batch_rows: int | None = None
    max_batch_pixels: int | None = None


@dataclass(frozen=True)
class StageReport:
    """What loading and preparing one stage took and gave."""

    prepared: PreparedNetwork
    load_seconds: float
    parameter_count: int


@dataclass
class Model:
    """Loaded stages and networks. ``status`` says what is being loaded, and is empty when all is."""

    sources: Sources
    depth: DepthEstimator
    cost: CostModel
    prior: PriorStage | None = None
    decoders: dict[str, DecoderStage] = field(default_factory=dict)
    networks: dict[str, DeviceNetwork] = field(default_factory=dict)
    movq_names: dict[str, str] = field(default_factory=dict)
    reports: dict[str, StageReport] = field(default_factory=dict)
    step_counters: dict[str, StepCounter] = field(default_factory=dict)
    status: str = ""

    def movq(self, stage: DecoderStage, part: str) -> str:
        """The name of the network that is the ``encoder`` or ``decoder`` of this stage's MoVQ."""
        return f"movq_{part}{self.movq_names[stage.movq_key]}"

    @property
    def stages(self) -> Iterator[PriorStage | DecoderStage]:
        """The loaded stages, the prior first."""
        if self.prior:
            yield self.prior
        yield from self.decoders.values()


@dataclass(frozen=True)
class _Part:
    """A network to prepare; ``shape`` makes its input shape for a number of rows."""

    name: str
    role: Role
    module: nn.Module
    lane: LaneKey
    shape: Callable[[int], BatchShape]
    steps: bool
    """Whether it is called once per denoising step: only then are larger batches measured."""


class ModelLoader:
    """Fills a `Model`, stage by stage."""

    def __init__(self, options: ModelOptions, model: Model) -> None:
        self.options = options
        self.model = model
        self.checkpoints = Checkpoints(options.device, options.dtype)

    def load(self) -> None:
        """Loads and prepares every stage that has a source.

        Raises:
            CheckpointError: when one cannot be loaded.
            BackendUnavailable: when the backend cannot run one, in strict mode.
        """
        for name, source in self.model.sources.given().items():
            started = time.monotonic()
            self.model.status = f"loading {name}"
            stage = self.checkpoints.load(name, source)
            parts = self._parts(stage)
            report = None
            for part in parts:
                self.model.status = f"preparing {part.name} for {self.options.backend.name}"
                prepared = self._prepare(part)
                report = report or StageReport(prepared, 0.0, _count(part.module))
            seconds = time.monotonic() - started
            assert report is not None
            self.model.reports[name] = StageReport(report.prepared, seconds, report.parameter_count)
            self.model.step_counters[name] = StepCounter(stage.scheduler)
            if isinstance(stage, PriorStage):
                self.model.prior = stage
            else:
                self.model.decoders[name] = stage
            log.info("loaded %s from %s in %.1f s", name, source, seconds)
        self.model.networks["depth"] = DeviceNetwork("depth", "depth", "eager", self.model.depth, max_rows=1)
        self.model.status = ""

    def _parts(self, stage: PriorStage | DecoderStage) -> list[_Part]:
        """The stage's own network first, then its encoders, less what another stage already prepared."""
        if isinstance(stage, PriorStage):
            return prior_parts(stage)
        suffix = self.model.movq_names.get(stage.movq_key)
        fresh = suffix is None
        if suffix is None:
            suffix = f"_{stage.name}" if self.model.movq_names else ""
            self.model.movq_names[stage.movq_key] = suffix
        return decoder_parts(stage, suffix) if fresh else decoder_parts(stage, suffix)[:1]

    def _prepare(self, part: _Part) -> PreparedNetwork:
        options = self.options
        prepared = prepare_with_parity(
            options.backend,
            part.module,
            part.role,
            [part.shape(rows) for rows in PARITY_ROWS],
            options.dtype,
            options.strict,
        )
        network = DeviceNetwork(
            part.name,
            part.name,
            prepared.backend_name,
            prepared.network,
            max_rows=options.max_batch_rows or MAX_ROWS,
            max_pixels=options.max_batch_pixels,
            fallback=None if prepared.backend_name == "eager" else EagerNetwork(part.module),
        )
        self.model.networks[part.name] = network
        if part.steps:
            self._measure(part, network)
        return prepared

    @torch.no_grad()
    def _measure(self, part: _Part, network: DeviceNetwork) -> None:
        """Times growing batches, to seed the cost model and to find where more rows stop paying."""
        best, rows, most = float("inf"), 1, 1
        while rows <= (self.options.max_batch_rows or MAX_ROWS):
            seconds = self._time(part, network, rows)
            self.model.cost.observe(part.lane, rows, seconds)
            best = min(best, seconds / rows)
            if seconds / rows > WORTH * best:
                break
            most, rows = rows, rows * 2
        if self.options.max_batch_rows is None:
            network.max_rows = max(most, MIN_MEASURED_ROWS)

    def _time(self, part: _Part, network: DeviceNetwork, rows: int) -> float:
        inputs = part.shape(rows).random_inputs(self.options.device)
        times = []
        for _ in range(3):
            started = time.monotonic()
            output = network.call(*inputs)[0]
            if output.is_cuda:
                torch.cuda.synchronize(output.device)
            times.append(time.monotonic() - started)
        return min(times)


def prior_parts(stage: PriorStage) -> list[_Part]:
    """The prior transformer and the two CLIP encoders."""
    text_shape, image_shape = shapes.text_encoder_shape(stage, 1), shapes.image_encoder_shape(stage, 1)
    return [
        _Part(
            "prior",
            Role.PRIOR,
            networks.PriorNetwork(stage.prior).eval(),
            LaneKey("prior", (stage.embedding_width,)),
            lambda rows: shapes.prior_shape(stage, rows),
            steps=True,
        ),
        _Part(
            "text_encoder",
            Role.TEXT_ENCODER,
            networks.TextEncoderNetwork(stage.text_encoder).eval(),
            LaneKey("text_encoder", text_shape.samples[0]),
            lambda rows: shapes.text_encoder_shape(stage, rows),
            steps=False,
        ),
        _Part(
            "image_encoder",
            Role.IMAGE_ENCODER,
            networks.ImageEncoderNetwork(stage.image_encoder).eval(),
            LaneKey("image_encoder", image_shape.samples[0]),
            lambda rows: shapes.image_encoder_shape(stage, rows),
            steps=False,
        ),
    ]


def decoder_parts(stage: DecoderStage, movq_suffix: str) -> list[_Part]:
    """The UNet and both halves of MoVQ."""
    side = stage.native_size // stage.factor
    return [
        _Part(
            stage.name,
            Role.UNET,
            networks.UnetNetwork(stage.unet).eval(),
            LaneKey(stage.name, (side, side)),
            lambda rows: shapes.unet_shape(stage, rows),
            steps=True,
        ),
        _Part(
            f"movq_decoder{movq_suffix}",
            Role.MOVQ_DECODER,
            networks.MovqDecoderNetwork(stage.movq).eval(),
            LaneKey(f"movq_decoder{movq_suffix}", (side, side)),
            lambda rows: shapes.movq_decoder_shape(stage, rows),
            steps=False,
        ),
        _Part(
            f"movq_encoder{movq_suffix}",
            Role.MOVQ_ENCODER,
            networks.MovqEncoderNetwork(stage.movq).eval(),
            LaneKey(f"movq_encoder{movq_suffix}", (3, stage.native_size, stage.native_size)),
            lambda rows: shapes.movq_encoder_shape(stage, rows),
            steps=False,
        ),
    ]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
