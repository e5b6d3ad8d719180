"""Generate: prompts to pixels, each image starting as soon as its own embedding is finished."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from kandinsky_server.engine.work import Work
from kandinsky_server.errors import Violation
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.image import ImageWork, Material, MaterialWork
from kandinsky_server.flows.prior import PriorRecipe
from kandinsky_server.flows.recipe import fewer
from kandinsky_server.flows.requests import GenerateRequest, seeded
from kandinsky_server.flows.resume import Resume, check_stage
from kandinsky_server.flows.session import Runtime, Session


class GenerateRecipe:
    """Each embedding, then its image, which has the same index."""

    def __init__(self, runtime: Runtime, request: GenerateRequest, resume: Resume) -> None:
        self.request = request
        self._delivered = resume.embeddings
        self.stream_options = request.prior.stream_options
        self.seed = request.image.sampling.seed
        image = request.image
        self._prior = PriorRecipe(runtime, request.prior, resume, "Generate")
        check_stage(runtime.model.decoders[image.stage], image.stream_options, resume)
        self._material = MaterialWork(runtime, image)
        self._images = {
            index: ImageWork(runtime, image, index, self._needs(index), resume)
            for index in range(self._prior.count)
            if index not in resume.images
        }

    def _needs(self, index: int) -> tuple[Work[Any], ...]:
        part = self._prior.parts.get(index)
        return (*(part.ends if part else ()), *self._material.works)

    @property
    def works(self) -> Sequence[Work[Any]]:
        """See `Recipe`."""
        return [
            *(self._material.works if self._images else ()),
            *self._prior.works,
            *(work for image in self._images.values() for work in image.works),
        ]

    def ask_less(self, allowed: int) -> list[Violation]:
        """See `Recipe`."""
        if allowed < 2:
            advice = "an image takes two: call Prior, and then an RPC that takes its embeddings"
            return [Violation("prompts", advice)]
        prior = self.request.prior
        return fewer(prior.image_count, "prompts", len(prior.prompts), 2, allowed)

    async def serve(self, session: Session) -> None:
        """See `Recipe`."""
        if not self._images:
            await self._prior.serve(session)
            return
        material = asyncio.ensure_future(self._material.prepare(session))
        try:
            await gather(self._one(session, material, index) for index in range(self._prior.count))
        finally:
            material.cancel()

    async def _one(self, session: Session, material: asyncio.Future[Material], index: int) -> None:
        pair = self._delivered.get(index) or await self._prior.post(session, index)
        image = self._images.get(index)
        if image is None:
            return
        prior = self.request.prior
        made_from = {
            "prompt": prior.prompts[index // prior.image_count],
            "negative_prompt": prior.negative_prompt,
            "prior_sampling": seeded(prior.sampling, index),
        }
        ready = await asyncio.shield(material)
        await image.post(session, ready, pair, **made_from)
