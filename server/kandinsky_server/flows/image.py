"""Decode, Img2Img, Inpaint and ControlNet: embeddings to pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kandinsky_server.diffusion import pixels, single
from kandinsky_server.diffusion.decoder import Conditions, DecoderTrajectory
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.work import Shown, Work, single_call
from kandinsky_server.errors import Violation
from kandinsky_server.families.stages import HINT_ENCODER, MOVQ_DECODER, MOVQ_ENCODER, UNET
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.events import ImageReady, Picture
from kandinsky_server.flows.previews import Previews
from kandinsky_server.flows.receipts import receipt_of
from kandinsky_server.flows.recipe import fewer
from kandinsky_server.flows.requests import Bytes, Embeddings, Floats, ImageRequest, seeded
from kandinsky_server.flows.resume import Resume, check_stage
from kandinsky_server.flows.session import Runtime, Session, one_row, pixel_bytes
from kandinsky_server.images import codecs

WITHOUT_EMBEDDINGS = Conditions(torch.empty(0))


class ImageRecipe:
    """An image for each embedding pair and count."""

    def __init__(self, runtime: Runtime, request: ImageRequest, resume: Resume) -> None:
        self.request = request
        self.stream_options = request.stream_options
        self.seed = request.sampling.seed
        check_stage(runtime.model.decoders[request.stage], request.stream_options, resume)
        self._material = MaterialWork(runtime, request)
        self._images = {
            index: ImageWork(runtime, request, index, self._material.works, resume)
            for index in range(len(request.embeddings) * request.image_count)
            if index not in resume.images
        }

    @property
    def works(self) -> Sequence[Work[Any]]:
        """See `Recipe`."""
        if not self._images:
            return []
        return [*self._material.works, *(work for image in self._images.values() for work in image.works)]

    def ask_less(self, allowed: int) -> list[Violation]:
        """See `Recipe`."""
        request = self.request
        return fewer(request.image_count, "embeddings", len(request.embeddings), 1, allowed)

    async def serve(self, session: Session) -> None:
        """See `Recipe`."""
        if not self._images:
            return
        material, count = await self._material.prepare(session), self.request.image_count
        await gather(
            image.post(session, material, self.request.embeddings[index // count])
            for index, image in self._images.items()
        )


@dataclass(frozen=True)
class Material:
    """What all images of a request share: their conditions but for the embeddings, and the mask in pixels."""

    conditions: Conditions
    repaint: NDArray[np.bool_] | None


class MaterialWork:
    """Encodes the request's pictures; every image of the request uses the same latents, mask and hint."""

    def __init__(self, runtime: Runtime, request: ImageRequest) -> None:
        self._request = request
        self._stage = stage = runtime.model.decoders[request.stage]
        size = request.sampling.width, request.sampling.height

        def encode(values: Floats) -> single.SingleStep[Tensor]:
            return single.encode(values, stage.device, stage.dtype)

        self._latents: Work[Tensor] | None = None
        self._depth: Work[Floats] | None = None
        self._hint: Work[Tensor] | None = None
        if request.image is not None:
            self._latents = single_call(stage.key(MOVQ_ENCODER, *size), encode)
        if request.hint is not None and request.hint_is_source:
            self._depth = single_call(BatchKey("depth", request.hint.shape), single.depth_hint)
        if request.hint is not None:
            depth = () if self._depth is None else (self._depth,)
            self._hint = single_call(stage.key(HINT_ENCODER, *size), encode, depth)
        self.works = tuple(work for work in (self._latents, self._depth, self._hint) if work is not None)

    async def prepare(self, session: Session) -> Material:
        """Runs the encoders, one after the other."""
        request, stage = self._request, self._stage
        conditions, repaint = WITHOUT_EMBEDDINGS, None
        if request.image is not None and self._latents is not None:
            latents = await session.run(self._latents, await session.work(pixels.movq_pixels, request.image))
            if request.mask is None:
                conditions = replace(conditions, start=latents)
            else:
                repaint = await session.work(pixels.repaint_mask, request.mask)
                keep = pixels.keep_mask(repaint, stage.factor)
                session.warnings += _mask_warnings(keep)
                conditions = replace(conditions, kept=latents, keep_mask=one_row(keep))
        if request.hint is not None and self._hint is not None:
            values = await self._hint_pixels(session, request.hint)
            hint = await session.run(self._hint, values)
            conditions = replace(conditions, hint=hint)
        return Material(conditions, repaint)

    async def _hint_pixels(self, session: Session, image: Bytes) -> Floats:
        """The hint in [0, 1], [3, height, width]: the picture itself, or its depth."""
        if self._depth is not None:
            return await session.run(self._depth, image)
        return await session.work(pixels.hint_pixels, image)


def _mask_warnings(keep: Floats) -> list[str]:
    """What is to be said of a mask, by what it keeps of the latents: 1 keeps, 0 repaints."""
    if keep.all():
        return [
            "mask: it repaints nothing, so the picture comes back; white (128 and above) is repainted. Is it in the "
            "mask's alpha channel, or smaller than a latent of 8x8 pixels?"
        ]
    if not keep.any():
        return ["mask: it repaints everything, so nothing of the picture is kept; black (below 128) is kept"]
    return []


def _digests(digests: Mapping[str, str], source: int) -> dict[str, str]:
    """Those of what an image is made from: of embeddings only its own pair's."""
    own = f"embeddings[{source}]."
    return {
        field: digest
        for field, digest in digests.items()
        if field.startswith(own) or not field.startswith("embeddings[")
    }


class ImageWork:
    """Image ``index``: its steps, when what they need has ended, then its pixels. It goes on where ``resume`` says."""

    def __init__(
        self,
        runtime: Runtime,
        request: ImageRequest,
        index: int,
        needs: tuple[Work[Any], ...],
        resume: Resume,
    ) -> None:
        self._request, self._index = request, index
        self._stage = stage = runtime.model.decoders[request.stage]
        self._sampling = sampling = seeded(request.sampling, index)
        size = sampling.width, sampling.height
        scheduler = stage.noise_scheduler()
        steps = scheduler.count(sampling.step_count, sampling.strength)
        shape = (1, stage.latent_channels, sampling.height // stage.factor, sampling.width // stage.factor)
        self._begun = begun = resume.begun(stage, index, shape, steps, most=steps)

        def make(conditions: Conditions) -> DecoderTrajectory:
            return DecoderTrajectory(stage, scheduler, conditions, sampling, begun)

        interval = request.stream_options.preview_interval
        shown = Shown(stage.key(MOVQ_DECODER, *size), interval) if interval else None
        left = steps - begun.step if begun else steps
        self._denoise = Work(stage.key(UNET, *size), sampling.rows, left, make, needs, shown=shown)
        denoising = (self._denoise,) if left else ()
        self._decode = self._decoding(denoising or needs)
        self.works: tuple[Work[Any], ...] = (*denoising, self._decode)

    def _decoding(self, needs: tuple[Work[Any], ...] = ()) -> Work[Any]:
        """A call of MoVQ's decoder for this image: its own, or a preview's."""
        key = self._stage.key(MOVQ_DECODER, self._sampling.width, self._sampling.height)
        # Not by way of `self`, which holds the work: a circle of references would outlive the request.
        device = self._stage.device
        return single_call(key, lambda latents: single.movq_decode(latents, device), needs)

    async def _latents(
        self, session: Session, material: Material, pair: Embeddings
    ) -> tuple[Tensor, Run[Any] | None]:
        """The finished latents, and the run that made them, unless all steps had been done before."""
        if self._begun and self._begun.finished:
            return self._begun.tensor(), None
        index = self._index
        conditions = replace(
            material.conditions,
            positive=one_row(pair.positive),
            negative=None if pair.negative is None else one_row(pair.negative),
        )
        previews = self._previews(session, index)
        trajectory = self._denoise.begin(conditions)
        return await session.denoise(self._denoise, trajectory, self._stage, index, previews=previews)

    async def post(self, session: Session, material: Material, pair: Embeddings, **made_from: Any) -> None:
        """Makes and posts the image; ``made_from`` is what its receipt says of the pair."""
        request, stage, sampling, index = self._request, self._stage, self._sampling, self._index
        latents, run = await self._latents(session, material, pair)
        room = await session.unread.room(pixel_bytes(stage, latents))
        made = await session.decode(self._decode, latents, stage.name)
        if request.paste_original and request.image is not None and material.repaint is not None:
            made = await session.work(pixels.paste_kept, made, request.image, material.repaint)
        source = index // request.image_count
        receipt = receipt_of(
            session,
            request.rpc,
            stage,
            sampling,
            session.timings(run),
            width=sampling.width,
            height=sampling.height,
            paste_original=request.paste_original,
            input_digests=_digests(session.input_digests, source),
            **made_from,
        )
        # Encoded now and not when it is read: pixels are larger.
        picture = await session.encode(made, receipt, index)
        room.resize(len(picture.data))
        session.mailbox.put(ImageReady(index, source, picture, receipt), room)

    def _previews(self, session: Session, index: int) -> Previews:
        stage, options = self._stage, session.stream_options

        async def make(latents: Tensor) -> Picture:
            made = await session.decode(self._decoding(), latents, stage.name)
            encoded = session.work(
                codecs.encode_preview, made, options.preview_format, options.preview_max_px
            )
            return Picture(*await encoded)

        return Previews(
            session.mailbox, index, make, lambda latents: session.unread.room_now(pixel_bytes(stage, latents))
        )
