"""Generate: prompts to pixels, each image starting as soon as its own embedding is finished."""

from __future__ import annotations

import asyncio

from kandinsky_server.engine.load import Load
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.image import Material, image_load, post_image, prepare
from kandinsky_server.flows.prior import post_prior_result, prior_loads, prompts_of
from kandinsky_server.flows.requests import GenerateRequest
from kandinsky_server.flows.session import Runtime, Session


def generate_loads(runtime: Runtime, request: GenerateRequest) -> list[Load]:
    """The work of both halves; a start image is encoded beside the prior's steps and takes no time of its own."""
    return prior_loads(runtime, prompts_of(request.prior), (image_load(runtime, request.image),))


async def serve_generate(session: Session, request: GenerateRequest) -> None:
    """Posts each embedding, then its image, which has the same index and the same seed."""
    material = asyncio.ensure_future(prepare(session, request.image))
    try:
        count = len(request.prior.prompts) * request.prior.image_count
        await gather(_one(session, request, material, index) for index in range(count))
    finally:
        material.cancel()


async def _one(
    session: Session, request: GenerateRequest, material: asyncio.Future[Material], index: int
) -> None:
    pair = await post_prior_result(session, request.prior, index, "Generate")
    prior = request.prior
    made_from = {
        "prompt": prior.prompts[index // prior.image_count],
        "negative_prompt": prior.negative_prompt,
        "prior_step_count": prior.sampling.step_count,
        "prior_guidance_scale": prior.sampling.guidance_scale,
    }
    await post_image(session, request.image, await asyncio.shield(material), pair, index, **made_from)
