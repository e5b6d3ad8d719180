"""Decode, Img2Img, Inpaint and ControlNet: from protobuf to domain requests."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message
from kandinsky_api.v1 import image_pb2

from kandinsky_server.diffusion.decoder import DecoderSampling
from kandinsky_server.flows.requests import Bytes, ImageRequest
from kandinsky_server.images.job import Fit, Use
from kandinsky_server.rpc import fields
from kandinsky_server.rpc.checks import Checks
from kandinsky_server.rpc.embeddings import read_pair
from kandinsky_server.rpc.options import check_output, read_output, read_stream_options
from kandinsky_server.rpc.violations import Violations

ImageRpc = (
    image_pb2.DecodeRequest
    | image_pb2.Img2ImgRequest
    | image_pb2.InpaintRequest
    | image_pb2.ControlNetRequest
)
IMAGE_USES: dict[str, Use] = {"image": "start", "mask": "mask", "hint": "hint", "depth_from": "hint"}


@dataclass(frozen=True)
class ImageRequests(Checks):
    """Converts the requests of ImageService that hold embeddings."""

    async def decode(self, message: image_pb2.DecodeRequest) -> ImageRequest:
        """Checks a Decode request."""
        return await self._image_request("Decode", message, Violations())

    async def img2img(self, message: image_pb2.Img2ImgRequest) -> ImageRequest:
        """Checks an Img2Img request."""
        found = Violations()
        if not message.HasField("image"):
            found.add("image", "must be set")
        return await self._image_request("Img2Img", message, found, message)

    async def inpaint(self, message: image_pb2.InpaintRequest) -> ImageRequest:
        """Checks an Inpaint request."""
        found = Violations()
        if not message.HasField("image"):
            found.add("image", "must be set")
        if not message.HasField("mask"):
            found.add("mask", "must be set")
        return await self._image_request("Inpaint", message, found)

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
        return await self._image_request("ControlNet", message, found, strong)

    async def _image_request(
        self,
        rpc: str,
        message: ImageRpc,
        found: Violations,
        strong: fields.Strong | None = None,
    ) -> ImageRequest:
        stage = self.decoder_stage(rpc)
        pairs = len(message.embeddings)
        fields.read_sources(found, "embeddings", message.embeddings, self.limits)
        count = fields.read_count(found, message.sampling, pairs, self.limits, pairs)
        sampling = fields.read_sampling(
            found, message.sampling, stage, pairs * count, strong, self.limits, self.defaults
        )
        shown = read_stream_options(found, message.options, shows_images=True)
        check_output(found, read_output(found, message.output), sampling.width, sampling.height)
        self.check_steps(found, "sampling.step_count", stage, sampling.step_count)
        found.check()
        fingerprint = self.model.prior.fingerprint if self.model.prior else None
        embeddings = tuple(
            read_pair(pair, f"embeddings[{k}]", stage.embedding_width, fingerprint, sampling.guided)
            for k, pair in enumerate(message.embeddings)
        )
        pictures = await self.fitted_pictures(message, sampling)
        return ImageRequest(
            rpc,
            stage.name,
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

    async def fitted_pictures(self, message: Message, sampling: DecoderSampling) -> dict[str, Bytes]:
        """The images of a message at the size of the output, by field; without those that are unset."""
        fields = message.DESCRIPTOR.fields_by_name
        uses = {name: use for name, use in IMAGE_USES.items() if name in fields and message.HasField(name)}
        return await self.pictures.fitted(
            {
                name: (getattr(message, name), Fit(use, sampling.width, sampling.height))
                for name, use in uses.items()
            }
        )
