"""Everything that is loaded: stages, their prepared networks, and what was measured while preparing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from kandinsky_backends.parity import PreparedNetwork
from numpy.typing import NDArray

from kandinsky_server.checkpoints.source import Sources
from kandinsky_server.diffusion.depth import DepthEstimator
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.families.family import Family
from kandinsky_server.families.stages import DecoderStage, PriorStage

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class StageReport:
    """What loading and preparing one stage took and gave; ``prepared`` are its networks by name, its own first."""

    prepared: dict[str, PreparedNetwork]
    load_seconds: float
    parameter_count: int


@dataclass
class Model:
    """Loaded stages and networks. ``status`` says what is being loaded, and is empty when all is.

    ``zero_embedding`` is the CLIP embedding [D] of a black image: diffusers' negative embedding when there is no negative
    prompt.
    """

    sources: Sources
    depth: DepthEstimator
    cost: CostModel
    prior: PriorStage | None = None
    decoders: dict[str, DecoderStage] = field(default_factory=dict)
    networks: dict[str, DeviceNetwork] = field(default_factory=dict)
    reports: dict[str, StageReport] = field(default_factory=dict)
    zero_embedding: Floats | None = None
    status: str = ""

    @property
    def family(self) -> Family:
        """The family of its stages."""
        return self.sources.family

    def add(self, stage: PriorStage | DecoderStage) -> None:
        """Takes in a loaded stage, in place of one of the same name."""
        if isinstance(stage, PriorStage):
            self.prior = stage
        else:
            self.decoders[stage.name] = stage

    @property
    def stages(self) -> Iterator[PriorStage | DecoderStage]:
        """The loaded stages, the prior first."""
        if self.prior:
            yield self.prior
        yield from self.decoders.values()
