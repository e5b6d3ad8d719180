"""Prior and Interpolate: from protobuf to domain requests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kandinsky_api.v1 import prior_pb2
from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.flows.requests import ClipImage, Floats, InterpolateRequest, PriorRequest
from kandinsky_server.rpc import fields
from kandinsky_server.rpc.checks import Checks, negative_prompt
from kandinsky_server.rpc.embeddings import read_embedding
from kandinsky_server.rpc.options import read_stream_options
from kandinsky_server.rpc.violations import Violations

MAX_WEIGHT = 1000.0


@dataclass(frozen=True)
class PriorRequests(Checks):
    """Converts the requests of PriorService."""

    async def prior(self, message: prior_pb2.PriorRequest) -> PriorRequest:
        """Checks a Prior request."""
        self.prior_stage()
        found = Violations()
        fields.read_prompts(found, message.prompts, self.limits)
        fields.read_prompt(found, "negative_prompt", message.negative_prompt, self.limits)
        prompts = len(message.prompts)
        count = fields.read_count(found, message.sampling, prompts, self.limits, prompts)
        seed = fields.read_seed(found, message.sampling, prompts * count, self.limits)
        sampling = self.prior_sampling(found, "sampling", message.sampling, seed)
        if message.HasField("image"):
            strength = fields.read_strength(found, message, sampling.step_count, self.defaults.strength)
            sampling = replace(sampling, strength=strength)
        elif message.HasField("strength"):
            found.add("strength", "needs image")
        self.check_steps(found, "sampling.step_count", self.prior_stage(), sampling.step_count)
        shown = read_stream_options(found, message.options, shows_images=False)
        found.check()
        images = {"image": message.image} if message.HasField("image") else {}
        image = (await self.pictures.for_clip(images, self.prior_stage())).get("image")
        return PriorRequest(tuple(message.prompts), negative_prompt(message), count, sampling, image, shown)

    async def interpolate(self, message: prior_pb2.InterpolateRequest) -> InterpolateRequest:
        """Checks an Interpolate request."""
        self.prior_stage()
        found = Violations()
        self._check_conditions(found, message)
        for name in ("negative_prior_prompt", "negative_prompt"):
            fields.read_prompt(found, name, getattr(message, name), self.limits)
        vectors, places = len(message.weights), text_runs(message)
        count = fields.read_count(found, message.sampling, vectors, self.limits, places)
        seed = fields.read_seed(found, message.sampling, count, self.limits)
        sampling = self.prior_sampling(found, "sampling", message.sampling, seed)
        self.check_steps(found, "sampling.step_count", self.prior_stage(), sampling.step_count)
        shown = read_stream_options(found, message.options, shows_images=False)
        found.check()
        has_negative = message.HasField("negative_prior_prompt")
        return InterpolateRequest(
            await self._conditions(message),
            tuple(tuple(weights.values) for weights in message.weights),
            message.negative_prior_prompt if has_negative else None,
            message.negative_prompt,
            count,
            sampling,
            shown,
        )

    def _check_conditions(self, found: Violations, message: prior_pb2.InterpolateRequest) -> None:
        count = len(message.conditions)
        most = self.limits.prompt_count
        known = found.integer("conditions", count, 1, most, verb="hold") == count
        for place, condition in enumerate(message.conditions[:most]):
            if condition.WhichOneof("kind") is None:
                found.add(f"conditions[{place}]", "must be a text, an image or an embedding")
            fields.read_prompt(found, f"conditions[{place}].text", condition.text, self.limits)
        vectors = self.limits.image_count
        found.integer("weights", len(message.weights), 1, vectors, verb="hold")
        for place, weights in enumerate(message.weights[:vectors]):
            if len(weights.values) != count:
                if known:
                    found.add(f"weights[{place}]", f"must hold {count} weights, one a condition")
                continue
            for value in weights.values:
                found.number(f"weights[{place}]", value, -MAX_WEIGHT, MAX_WEIGHT)

    async def _conditions(
        self, message: prior_pb2.InterpolateRequest
    ) -> tuple[str | ClipImage | Floats, ...]:
        stage = self.prior_stage()
        conditions: dict[str, str | ClipImage | Floats] = {}
        images: dict[str, pb.InputImage] = {}
        for place, condition in enumerate(message.conditions):
            field = f"conditions[{place}].{condition.WhichOneof('kind')}"
            conditions[field] = condition.text
            if condition.HasField("embedding"):
                conditions[field] = read_embedding(
                    condition.embedding, field, stage.embedding_width, stage.fingerprint
                )
            elif condition.HasField("image"):
                images[field] = condition.image
        conditions.update(await self.pictures.for_clip(images, stage))
        return tuple(conditions.values())


def text_runs(message: prior_pb2.InterpolateRequest) -> int:
    """How many texts the prior turns into embeddings, for one result of each weight vector.

    One that is missing, or is nothing yet, counts: what is advised is right if it becomes a text.
    """
    negative = bool(message.negative_prompt) or message.HasField("negative_prior_prompt")
    texts = sum(condition.WhichOneof("kind") in (None, "text") for condition in message.conditions)
    return negative + (texts if message.conditions else 1)
