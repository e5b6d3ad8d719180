"""What is checked for requests of more than one kind: that stages are loaded, and what their noise schedulers take."""

from __future__ import annotations

from dataclasses import dataclass

from kandinsky_api.v1 import image_pb2, prior_pb2
from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.diffusion.model import Model
from kandinsky_server.diffusion.prior import PriorSampling
from kandinsky_server.errors import StageNotLoaded
from kandinsky_server.families.family import SamplingDefaults
from kandinsky_server.families.stages import DecoderStage, PriorStage, Stage
from kandinsky_server.flows.resume import Resume
from kandinsky_server.rpc import fields
from kandinsky_server.rpc.limits import Limits
from kandinsky_server.rpc.pictures import Pictures
from kandinsky_server.rpc.resume import read_resume
from kandinsky_server.rpc.violations import Violations


@dataclass(frozen=True)
class Checks:
    """Knows what is loaded and what is allowed; ``pictures`` decodes images."""

    model: Model
    limits: Limits
    pictures: Pictures

    @property
    def defaults(self) -> SamplingDefaults:
        """What unset fields of a sampling mean."""
        return self.model.family.defaults

    def prior_stage(self) -> PriorStage:
        """The loaded prior; raises StageNotLoaded when there is none."""
        if self.model.prior is None:
            raise self._not_loaded("Prior")
        return self.model.prior

    def decoder_stage(self, rpc: str) -> DecoderStage:
        """The loaded stage that serves ``rpc``; raises StageNotLoaded when it is not there."""
        stage = self.model.decoders.get(self.model.family.rpcs[rpc].name)
        if stage is None:
            raise self._not_loaded(rpc)
        return stage

    def _not_loaded(self, rpc: str) -> StageNotLoaded:
        name = self.model.family.rpcs[rpc].name
        told = f"this server has no {name} stage; GetServerInfo lists the stages it has"
        return StageNotLoaded(told, stage=name)

    def resume(self, message: pb.Resume, digest: str) -> Resume:
        """Checks what earlier tries of a request with this digest came to."""
        prior, decoders = self.model.prior, self.model.decoders.values()
        width = prior.embedding_width if prior else next(iter(decoders)).embedding_width
        return read_resume(message, digest, width, prior.fingerprint if prior else None)

    def check_steps(self, found: Violations, field: str, stage: Stage, step_count: int) -> None:
        """Asks the stage's scheduler whether it can take so many steps: between its least and most may be gaps."""
        counter = stage.noise_scheduler().count
        if found.found or counter.takes(step_count):
            return
        nearest = counter.nearest(step_count)
        advice = f"take {nearest}" if nearest else "take another number"
        found.add(field, f"the {stage.name} stage's scheduler cannot take {step_count} steps; {advice}")

    def prior_sampling(
        self, found: Violations, name: str, message: pb.PriorSampling, seed: int
    ) -> PriorSampling:
        """Steps and guidance of the prior, in the request's field ``name``."""
        steps, counter = f"{name}.step_count", self.prior_stage().noise_scheduler().count
        guidance = f"{name}.guidance_scale"
        return PriorSampling(
            seed,
            fields.read_steps(found, steps, message, self.defaults.prior_step_count, counter, self.limits),
            fields.read_guidance(found, guidance, message, self.defaults.prior_guidance_scale),
        )


def negative_prompt(message: prior_pb2.PriorRequest | image_pb2.GenerateRequest) -> str | None:
    """None when it is unset, which is another negative than an empty one."""
    return message.negative_prompt if message.HasField("negative_prompt") else None
