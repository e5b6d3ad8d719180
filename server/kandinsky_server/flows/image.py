"""Decode, Img2Img, Inpaint and ControlNet: embeddings to pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kandinsky_server.diffusion import pixels
from kandinsky_server.diffusion.checkpoint import DecoderStage
from kandinsky_server.diffusion.decoder import Conditions, DecoderTrajectory, decoder_lane
from kandinsky_server.diffusion.single import HINT_ENCODER
from kandinsky_server.engine.load import Load, single_call
from kandinsky_server.engine.trajectory import LaneKey
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.events import ImageReady, Receipt, Timings
from kandinsky_server.flows.requests import Bytes, Embeddings, Floats, ImageRequest, seeded
from kandinsky_server.flows.session import Runtime, Session, one_row, pixel_bytes

WITHOUT_EMBEDDINGS = Conditions(torch.empty(0))


@dataclass(frozen=True)
class Material:
    """What all images of a request share: their conditions but for the embeddings, and the mask in pixels."""

    stage: DecoderStage
    conditions: Conditions
    repaint: NDArray[np.bool_] | None


def image_loads(runtime: Runtime, request: ImageRequest, count: int) -> list[Load]:
    """The work of ``count`` images; an image of the request's own and a hint are encoded before."""
    loads = [image_load(runtime, request)] * count
    shape = (3, request.sampling.height, request.sampling.width)
    if request.hint is not None:
        loads = [single_call(LaneKey(HINT_ENCODER, shape), tuple(loads))]
    if request.image is not None:
        network = runtime.model.movq(runtime.model.decoders[request.stage], "encoder")
        loads = [single_call(LaneKey(network, shape), tuple(loads))]
    return loads


def image_load(runtime: Runtime, request: ImageRequest) -> Load:
    """The work of one image: its steps, then its pixels."""
    model, sampling = runtime.model, request.sampling
    stage = model.decoders[request.stage]
    lane = decoder_lane(stage, sampling)
    steps = model.step_counters[request.stage](sampling.step_count, sampling.strength)
    return Load(lane, sampling.rows, steps, (single_call(LaneKey(model.movq(stage, "decoder"), lane.shape)),))


async def serve_image(session: Session, request: ImageRequest) -> None:
    """Posts an image for each embedding pair and count as soon as it is finished."""
    material = await prepare(session, request)
    count = len(request.embeddings) * request.image_count
    pairs = [request.embeddings[index // request.image_count] for index in range(count)]
    await gather(post_image(session, request, material, pair, index) for index, pair in enumerate(pairs))


async def prepare(session: Session, request: ImageRequest) -> Material:
    """Encodes the request's images; every image of the request uses the same latents, mask and hint."""
    stage = session.runtime.model.decoders[request.stage]
    conditions, repaint = WITHOUT_EMBEDDINGS, None
    if request.image is not None:
        latents = await session.latents(stage, request.image)
        if request.mask is None:
            conditions = replace(conditions, start=latents)
        else:
            repaint = await session.work(pixels.repaint_mask, request.mask)
            keep = pixels.keep_mask(repaint, stage.factor)
            session.warnings += _mask_warnings(keep)
            conditions = replace(conditions, kept=latents, keep_mask=one_row(keep))
    if request.hint is not None:
        hint = await _hint(session, request, request.hint)
        conditions = replace(conditions, hint=await session.encode_hint(stage, hint))
    return Material(stage, conditions, repaint)


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


async def _hint(session: Session, request: ImageRequest, image: Bytes) -> Floats:
    if request.hint_is_source:
        return await session.depth_hint(image)
    return await session.work(pixels.hint_pixels, image)


async def post_image(
    session: Session,
    request: ImageRequest,
    material: Material,
    pair: Embeddings,
    index: int,
    **made_from: Any,
) -> None:
    """Makes and posts image ``index``; ``made_from`` is what its receipt says of the pair."""
    stage, sampling = material.stage, seeded(request.sampling, index)
    conditions = replace(
        material.conditions,
        positive=one_row(pair.positive),
        negative=None if pair.negative is None else one_row(pair.negative),
    )
    model = session.runtime.model
    steps = model.step_counters[stage.name](sampling.step_count, sampling.strength)
    together = model.noise_steps.get(stage.name)
    trajectory = DecoderTrajectory(stage, conditions, sampling, steps, together)
    latents, run = await session.denoise(trajectory, stage, index)
    room = await session.unread.room(pixel_bytes(stage, latents))
    made = await session.decode(stage, latents)
    if request.paste_original and request.image is not None and material.repaint is not None:
        made = await session.work(pixels.paste_kept, made, request.image, material.repaint)
    receipt = _receipt(session, request, stage, sampling.seed, session.timings(run), **made_from)
    # Encoded now and not when it is read: pixels are larger.
    picture = await session.encode(made, receipt, index)
    room.resize(len(picture.data))
    session.mailbox.put(ImageReady(index, index // request.image_count, picture, receipt), room)


def _receipt(
    session: Session,
    request: ImageRequest,
    stage: DecoderStage,
    seed: int,
    timings: Timings,
    **made_from: Any,
) -> Receipt:
    sampling = request.sampling
    return Receipt(
        rpc=request.rpc,
        seed=seed,
        step_count=sampling.step_count,
        guidance_scale=sampling.guidance_scale,
        strength=sampling.strength,
        width=sampling.width,
        height=sampling.height,
        stage=stage.name,
        fingerprint=stage.fingerprint,
        scheduler=type(stage.scheduler).__name__,
        backend=session.runtime.model.networks[stage.name].backend,
        dtype=session.runtime.dtype_name,
        timings=timings,
        paste_original=request.paste_original,
        **made_from,
    )
