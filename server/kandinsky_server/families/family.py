"""What the rest of the server knows of a model family, such as Kandinsky 2.2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kandinsky_server.families.stage_spec import StageSpec
from kandinsky_server.families.stages import DecoderStage, PriorStage


@dataclass(frozen=True)
class SamplingDefaults:
    """What unset fields of a request mean: the defaults of the family's pipelines in diffusers."""

    prior_step_count: int
    prior_guidance_scale: float
    step_count: int
    guidance_scale: float
    strength: float


@dataclass(frozen=True, eq=False)
class Family:
    """A model family.

    Attributes:
        stages: by name, in the order in which they are loaded and listed, the prior first.
        presets: for names that stand for checkpoints on the hub, the hub id of every stage.
        rpcs: which stage serves an RPC; of Generate, a Prior and an RPC that takes its embeddings.
        defaults: what unset fields of a request mean.
        check_together: raises CheckpointError when a decoder takes no embeddings of a prior's.
    """

    stages: Mapping[str, StageSpec]
    presets: Mapping[str, Mapping[str, str]]
    rpcs: Mapping[str, StageSpec]
    defaults: SamplingDefaults
    check_together: Callable[[PriorStage, DecoderStage], None]
