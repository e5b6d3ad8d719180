"""Protobuf requests to domain requests: every default filled in, every range checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from google.protobuf.message import Message
from kandinsky_api.v1 import image_pb2, prior_pb2
from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.diffusion.decoder import DecoderSampling
from kandinsky_server.diffusion.model import Model
from kandinsky_server.diffusion.prior import PriorSampling
from kandinsky_server.errors import StageNotLoaded
from kandinsky_server.families.kandinsky22.stages import DecoderStage, PriorStage, Stage
from kandinsky_server.flows.requests import (
    Bytes,
    ClipImage,
    Floats,
    GenerateRequest,
    ImageRequest,
    InterpolateRequest,
    PriorRequest,
)
from kandinsky_server.images.job import Fit, Use
from kandinsky_server.rpc import fields
from kandinsky_server.rpc.embeddings import read_embedding, read_pair
from kandinsky_server.rpc.limits import Defaults, Limits
from kandinsky_server.rpc.options import check_output, read_output, read_stream_options
from kandinsky_server.rpc.pictures import Pictures
from kandinsky_server.rpc.violations import Violations

ImageRpc = (
    image_pb2.DecodeRequest
    | image_pb2.Img2ImgRequest
    | image_pb2.InpaintRequest
    | image_pb2.ControlNetRequest
)
MAX_WEIGHT = 1000.0
NOT_LOADED = "this server has no {} stage; GetServerInfo lists the stages it has"
IMAGE_USES: dict[str, Use] = {"image": "start", "mask": "mask", "hint": "hint", "depth_from": "hint"}


@dataclass(frozen=True)
class Converter:
    """Knows what is loaded and what is allowed. Images are decoded last, when all the rest is right.

    Every method raises StageNotLoaded when the request needs a stage that is not there, and InvalidRequest with all
    the fields that are wrong.
    """

    model: Model
    limits: Limits
    pictures: Pictures

    async def prior(self, message: prior_pb2.PriorRequest) -> PriorRequest:
        """Checks a Prior request."""
        self.prior_stage()
        found = Violations()
        fields.read_prompts(found, message.prompts, self.limits)
        fields.read_prompt(found, "negative_prompt", message.negative_prompt, self.limits)
        prompts = len(message.prompts)
        count = fields.read_count(found, message.sampling, prompts, self.limits, prompts)
        seed = fields.read_seed(found, message.sampling, prompts * count, self.limits)
        sampling = self._prior_sampling(found, "sampling", message.sampling, seed)
        if message.HasField("image"):
            strength = fields.read_strength(found, message, sampling.step_count)
            sampling = replace(sampling, strength=strength)
        elif message.HasField("strength"):
            found.add("strength", "needs image")
        self._check_steps(found, "sampling.step_count", self.prior_stage(), sampling.step_count)
        shown = read_stream_options(found, message.options, shows_images=False)
        found.check()
        images = {"image": message.image} if message.HasField("image") else {}
        image = (await self.pictures.for_clip(images, self.prior_stage())).get("image")
        return PriorRequest(tuple(message.prompts), _negative(message), count, sampling, image, shown)

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
        sampling = self._prior_sampling(found, "sampling", message.sampling, seed)
        self._check_steps(found, "sampling.step_count", self.prior_stage(), sampling.step_count)
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

    async def decode(self, message: image_pb2.DecodeRequest) -> ImageRequest:
        """Checks a Decode request."""
        return await self._image_request("Decode", "decoder", message, Violations())

    async def img2img(self, message: image_pb2.Img2ImgRequest) -> ImageRequest:
        """Checks an Img2Img request."""
        found = Violations()
        if not message.HasField("image"):
            found.add("image", "must be set")
        return await self._image_request("Img2Img", "decoder", message, found, message)

    async def inpaint(self, message: image_pb2.InpaintRequest) -> ImageRequest:
        """Checks an Inpaint request."""
        found = Violations()
        if not message.HasField("image"):
            found.add("image", "must be set")
        if not message.HasField("mask"):
            found.add("mask", "must be set")
        return await self._image_request("Inpaint", "inpaint", message, found)

    async def controlnet(self, message: image_pb2.ControlNetRequest) -> ImageRequest:
        """Checks a ControlNet request."""
        found = Violations()
        if message.WhichOneof("hint_source") is None:
            found.add("hint", "hint or depth_from must be set")
        if message.HasField("depth_from"):
            self.model.depth.check()
        if not message.HasField("image") and message.HasField("strength"):
            found.add("strength", "needs image")
        strong = message if message.HasField("image") else None
        return await self._image_request("ControlNet", "controlnet", message, found, strong)

    async def generate(self, message: image_pb2.GenerateRequest) -> GenerateRequest:
        """Checks a Generate request: the prior's half and the image's."""
        self.prior_stage()
        stage = self.decoder_stage("inpaint" if message.HasField("mask") else "decoder")
        found = Violations()
        fields.read_prompts(found, message.prompts, self.limits, places=2)
        fields.read_prompt(found, "negative_prompt", message.negative_prompt, self.limits)
        prompts = len(message.prompts)
        count = fields.read_count(found, message.sampling, prompts, self.limits, 2 * prompts)
        results = prompts * count
        strong = self._generate_strength(found, message)
        sampling = fields.read_sampling(found, message.sampling, stage, results, strong, self.limits)
        prior_sampling = self._generate_prior(found, message, sampling.seed, results)
        shown = read_stream_options(found, message.options, shows_images=True)
        check_output(found, read_output(found, message.output), sampling.width, sampling.height)
        self._check_steps(found, "prior_sampling.step_count", self.prior_stage(), prior_sampling.step_count)
        self._check_steps(found, "sampling.step_count", stage, sampling.step_count)
        found.check()
        pictures = await self._pictures(message, sampling)
        return GenerateRequest(
            PriorRequest(
                tuple(message.prompts), _negative(message), count, prior_sampling, stream_options=shown
            ),
            ImageRequest(
                "Generate",
                stage.name,
                count,
                sampling,
                image=pictures.get("image"),
                mask=pictures.get("mask"),
                paste_original=message.paste_original,
                stream_options=shown,
            ),
        )

    def within(self, places: int) -> Converter:
        """One that tells a client of so many ``places`` in the queue nothing that its share would then refuse."""
        return replace(self, limits=replace(self.limits, places=places))

    def prior_stage(self) -> PriorStage:
        """The loaded prior."""
        if self.model.prior is None:
            raise StageNotLoaded(NOT_LOADED.format("prior"), stage="prior")
        return self.model.prior

    def decoder_stage(self, name: str) -> DecoderStage:
        """The loaded decoder stage ``name``."""
        stage = self.model.decoders.get(name)
        if stage is None:
            raise StageNotLoaded(NOT_LOADED.format(name), stage=name)
        return stage

    # ------------------------------------------------------------------------------------------ parts

    def _check_steps(self, found: Violations, field: str, stage: Stage, step_count: int) -> None:
        """Asks the stage's scheduler whether it can take so many steps: between its least and most may be gaps."""
        counter = stage.noise_scheduler().count
        if found.found or counter.takes(step_count):
            return
        nearest = counter.nearest(step_count)
        advice = f"take {nearest}" if nearest else "take another number"
        found.add(field, f"the {stage.name} stage's scheduler cannot take {step_count} steps; {advice}")

    def _prior_sampling(
        self, found: Violations, name: str, message: pb.PriorSampling, seed: int
    ) -> PriorSampling:
        """Steps and guidance of the prior, in the request's field ``name``."""
        steps, counter = f"{name}.step_count", self.prior_stage().noise_scheduler().count
        guidance = f"{name}.guidance_scale"
        return PriorSampling(
            seed,
            fields.read_steps(found, steps, message, Defaults.prior_step_count, counter, self.limits),
            fields.read_guidance(found, guidance, message, Defaults.prior_guidance_scale),
        )

    def _generate_prior(
        self, found: Violations, message: image_pb2.GenerateRequest, image_seed: int, results: int
    ) -> PriorSampling:
        """The prior's half of Generate, which starts from the seed of the images unless it has its own."""
        name, sampling, seed = "prior_sampling", message.prior_sampling, image_seed
        if sampling.HasField("image_count"):
            found.add(f"{name}.image_count", "must be unset: sampling.image_count says how many")
        if sampling.HasField("seed"):
            seed = fields.read_seed(found, sampling, results, self.limits, name=name)
        return self._prior_sampling(found, name, sampling, seed)

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

    async def _image_request(
        self,
        rpc: str,
        stage_name: str,
        message: ImageRpc,
        found: Violations,
        strong: fields.Strong | None = None,
    ) -> ImageRequest:
        stage = self.decoder_stage(stage_name)
        pairs = len(message.embeddings)
        fields.read_sources(found, "embeddings", message.embeddings, self.limits)
        count = fields.read_count(found, message.sampling, pairs, self.limits, pairs)
        sampling = fields.read_sampling(found, message.sampling, stage, pairs * count, strong, self.limits)
        shown = read_stream_options(found, message.options, shows_images=True)
        check_output(found, read_output(found, message.output), sampling.width, sampling.height)
        self._check_steps(found, "sampling.step_count", stage, sampling.step_count)
        found.check()
        fingerprint = self.model.prior.fingerprint if self.model.prior else None
        embeddings = tuple(
            read_pair(pair, f"embeddings[{k}]", stage.embedding_width, fingerprint, sampling.guided)
            for k, pair in enumerate(message.embeddings)
        )
        pictures = await self._pictures(message, sampling)
        return ImageRequest(
            rpc,
            stage_name,
            count,
            sampling,
            embeddings,
            image=pictures.get("image"),
            mask=pictures.get("mask"),
            paste_original=isinstance(message, image_pb2.InpaintRequest) and message.paste_original,
            hint=pictures.get("hint", pictures.get("depth_from")),
            hint_is_source="depth_from" in pictures,
            stream_options=shown,
        )

    async def _pictures(self, message: Message, sampling: DecoderSampling) -> dict[str, Bytes]:
        """The images of a message at the size of the output, by field; without those that are unset."""
        fields = message.DESCRIPTOR.fields_by_name
        uses = {name: use for name, use in IMAGE_USES.items() if name in fields and message.HasField(name)}
        return await self.pictures.fitted(
            {
                name: (getattr(message, name), Fit(use, sampling.width, sampling.height))
                for name, use in uses.items()
            }
        )

    def _generate_strength(
        self, found: Violations, message: image_pb2.GenerateRequest
    ) -> image_pb2.GenerateRequest | None:
        """The message when its second half is Img2Img; notes parts that contradict each other."""
        has_image, has_mask = message.HasField("image"), message.HasField("mask")
        if has_mask and not has_image:
            found.add("mask", "needs image")
        if message.paste_original and not has_mask:
            found.add("paste_original", "needs mask")
        if has_image and not has_mask:
            return message
        if message.HasField("strength"):
            found.add("strength", "needs image, and no mask")
        return None


def text_runs(message: prior_pb2.InterpolateRequest) -> int:
    """How many texts the prior turns into embeddings, for one result of each weight vector."""
    negative = bool(message.negative_prompt) or message.HasField("negative_prior_prompt")
    return negative + sum(condition.HasField("text") for condition in message.conditions)


def _negative(message: prior_pb2.PriorRequest | image_pb2.GenerateRequest) -> str | None:
    return message.negative_prompt if message.HasField("negative_prompt") else None
