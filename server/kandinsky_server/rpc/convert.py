"""Protobuf requests to domain requests: every default filled in, every range checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kandinsky_api.v1 import image_pb2

from kandinsky_server.diffusion.prior import PriorSampling
from kandinsky_server.flows.requests import GenerateRequest, ImageRequest, PriorRequest
from kandinsky_server.rpc import fields
from kandinsky_server.rpc.checks import negative_prompt
from kandinsky_server.rpc.image_requests import ImageRequests
from kandinsky_server.rpc.options import check_output, read_output, read_stream_options
from kandinsky_server.rpc.prior_requests import PriorRequests
from kandinsky_server.rpc.violations import Violations


@dataclass(frozen=True)
class Converter(PriorRequests, ImageRequests):
    """Knows what is loaded and what is allowed. Images are decoded last, when all the rest is right.

    Every method raises StageNotLoaded when the request needs a stage that is not there, and InvalidRequest with all
    the fields that are wrong.
    """

    def within(self, places: int) -> Converter:
        """One that tells a client of so many ``places`` in the queue nothing that its share would then refuse."""
        return replace(self, limits=replace(self.limits, places=places))

    async def generate(self, message: image_pb2.GenerateRequest) -> GenerateRequest:
        """Checks a Generate request: the prior's half and the image's."""
        self.prior_stage()
        stage = self.decoder_stage("Inpaint" if message.HasField("mask") else "Decode")
        found = Violations()
        fields.read_prompts(found, message.prompts, self.limits, places=2)
        fields.read_prompt(found, "negative_prompt", message.negative_prompt, self.limits)
        prompts = len(message.prompts)
        count = fields.read_count(found, message.sampling, prompts, self.limits, 2 * prompts)
        results = prompts * count
        strong = self._generate_strength(found, message)
        sampling = fields.read_sampling(
            found, message.sampling, stage, results, strong, self.limits, self.defaults
        )
        prior_sampling = self._generate_prior(found, message, sampling.seed, results)
        shown = read_stream_options(found, message.options, shows_images=True)
        check_output(found, read_output(found, message.output), sampling.width, sampling.height)
        self.check_steps(found, "prior_sampling.step_count", self.prior_stage(), prior_sampling.step_count)
        self.check_steps(found, "sampling.step_count", stage, sampling.step_count)
        found.check()
        pictures = await self.fitted_pictures(message, sampling)
        return GenerateRequest(
            PriorRequest(
                tuple(message.prompts), negative_prompt(message), count, prior_sampling, stream_options=shown
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

    def _generate_prior(
        self, found: Violations, message: image_pb2.GenerateRequest, image_seed: int, results: int
    ) -> PriorSampling:
        """The prior's half of Generate, which starts from the seed of the images unless it has its own."""
        name, sampling, seed = "prior_sampling", message.prior_sampling, image_seed
        if sampling.HasField("image_count"):
            found.add(f"{name}.image_count", "must be unset: sampling.image_count says how many")
        if sampling.HasField("seed"):
            seed = fields.read_seed(found, sampling, results, self.limits, name=name)
        return self.prior_sampling(found, name, sampling, seed)

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
