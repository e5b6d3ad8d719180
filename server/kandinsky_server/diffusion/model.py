"""Everything that is loaded: stages, their prepared networks, and what was measured while preparing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kandinsky_backends.parity import PreparedNetwork

from kandinsky_server.diffusion.checkpoint import DecoderStage, PriorStage
from kandinsky_server.diffusion.depth import DepthEstimator
from kandinsky_server.diffusion.schedule import StepCounter
from kandinsky_server.diffusion.source import Sources
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.network import DeviceNetwork


@dataclass(frozen=True)
class StageReport:
    """What loading and preparing one stage took and gave; ``prepared`` are its networks by name, its own first."""

    prepared: dict[str, PreparedNetwork]
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
    reports: dict[str, StageReport] = field(default_factory=dict)
    step_counters: dict[str, StepCounter] = field(default_factory=dict)
    status: str = ""

    @property
    def stages(self) -> Iterator[PriorStage | DecoderStage]:
        """The loaded stages, the prior first."""
        if self.prior:
            yield self.prior
        yield from self.decoders.values()
