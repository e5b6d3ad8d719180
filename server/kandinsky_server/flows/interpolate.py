"""Interpolate: weighted sums of what Prior returns for each condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kandinsky_server.engine.work import Work
from kandinsky_server.errors import InvalidField, Violation
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.embedding import (
    EmbeddingWork,
    Prompt,
    all_works,
    begun_prior,
    clip_work,
    removed_texts,
)
from kandinsky_server.flows.events import EmbeddingReady
from kandinsky_server.flows.receipts import receipt_of
from kandinsky_server.flows.recipe import COUNT
from kandinsky_server.flows.requests import (
    MAX_VALUE,
    ClipImage,
    Embeddings,
    Floats,
    InterpolateRequest,
    seeded,
)
from kandinsky_server.flows.resume import Resume, check_stage
from kandinsky_server.flows.session import Runtime, Session, embedding_bytes


class InterpolateRecipe:
    """An embedding for each weight vector and count, in order.

    Equals ``interpolate`` of diffusers' KandinskyV22PriorPipeline with a fresh generator for every condition.
    """

    def __init__(self, runtime: Runtime, request: InterpolateRequest, resume: Resume) -> None:
        self.request = request
        self._delivered = resume.embeddings
        self.stream_options = request.stream_options
        self.seed = request.sampling.seed
        stage, conditions = runtime.prior, request.conditions
        self._texts = {place: text for place, text in enumerate(conditions) if isinstance(text, str)}
        self._images = {
            place: (image, clip_work(stage))
            for place, image in enumerate(conditions)
            if isinstance(image, ClipImage)
        }
        # The negative prompt's run is shown after those of the conditions.
        runs = self._texts | ({len(conditions): request.negative_prompt} if self._runs_negative else {})
        check_stage(stage, request.stream_options, resume)
        self._parts: dict[tuple[int, int], EmbeddingWork] = {}
        for place, text in runs.items():
            for count in range(request.image_count):
                prompt = Prompt(text, request.negative_prior_prompt)
                sampling = seeded(request.sampling, count)
                index = place * request.image_count + count
                begun = begun_prior(runtime, prompt, sampling, index, resume)
                self._parts[place, count] = EmbeddingWork(runtime, prompt, sampling, begun)

    @property
    def _runs_negative(self) -> bool:
        """Without any negative prompt the negative embedding is a black image's, and no run could change it."""
        return bool(self.request.negative_prompt) or self.request.negative_prior_prompt is not None

    @property
    def works(self) -> Sequence[Work[Any]]:
        """See `Recipe`."""
        images = [work for _, work in self._images.values()]
        return [*images, *all_works(self._parts.values())]

    def ask_less(self, allowed: int) -> list[Violation]:
        """See `Recipe`. Texts take places, pictures and embeddings take none."""
        count = self.request.image_count
        runs = len(self._parts) // count
        if runs <= allowed:
            return [Violation(COUNT, f"must be 1 to {allowed // runs}")]
        found = [Violation(COUNT, "must be 1 to 1")] if count > 1 else []
        return [*found, Violation("conditions", "make embeddings of the texts with Prior, and mix those")]

    async def serve(self, session: Session) -> None:
        """See `Recipe`."""
        request = self.request
        columns = await self._columns(session)
        removed = await self._removed(session)
        for frame, weights in enumerate(request.weights):
            for count, (conditions, negative) in enumerate(columns):
                index = frame * request.image_count + count
                if index in self._delivered:
                    continue
                mixed = _mixed(conditions, weights, f"weights[{frame}]")
                receipt = receipt_of(
                    session,
                    "Interpolate",
                    session.prior,
                    seeded(request.sampling, count),
                    session.timings(),
                    weights=weights,
                    negative_prompt=request.negative_prompt,
                    negative_prior_prompt=request.negative_prior_prompt,
                    condition_texts=self._texts,
                    input_digests=session.input_digests,
                )
                pair = Embeddings(mixed, negative)
                room = await session.unread.room(embedding_bytes(pair))
                session.mailbox.put(EmbeddingReady(index, frame, pair, receipt, removed), room)

    async def _columns(self, session: Session) -> list[tuple[list[Floats], Floats]]:
        """For each count every condition's embedding and the negative one, all from that result's seed."""
        made: dict[tuple[int, int], Embeddings] = {}
        held = {
            place: given
            for place, given in enumerate(self.request.conditions)
            if isinstance(given, np.ndarray)
        }

        async def run(place: int, count: int) -> None:
            index = place * self.request.image_count + count
            made[place, count] = (await self._parts[place, count].result(session, index)).embeddings

        async def encode(place: int) -> None:
            image, work = self._images[place]
            held[place] = await session.run(work, image.values)

        if not self._runs_negative:
            held[len(self.request.conditions)] = session.zero_embedding
        await gather([*(run(*each) for each in self._parts), *map(encode, self._images)])
        places, counts = range(len(self.request.conditions)), range(self.request.image_count)
        return [
            (
                [held[place] if place in held else made[place, count].positive for place in places],
                self._negative(held, made, count),
            )
            for count in counts
        ]

    def _negative(
        self, held: dict[int, Floats], made: dict[tuple[int, int], Embeddings], count: int
    ) -> Floats:
        place = len(self.request.conditions)
        if place in held:
            return held[place]
        pair = made[place, count]
        chosen = pair.positive if self.request.negative_prompt else pair.negative
        assert chosen is not None
        return chosen

    async def _removed(self, session: Session) -> dict[str, str]:
        texts = {f"conditions[{place}].text": text for place, text in self._texts.items()}
        texts["negative_prompt"] = self.request.negative_prompt
        texts["negative_prior_prompt"] = self.request.negative_prior_prompt or ""
        return await removed_texts(session, texts)


def _mixed(conditions: Sequence[Floats], weights: Sequence[float], field: str) -> Floats:
    """Weighted in float32 and added in order, as diffusers does."""
    mixed = np.sum([row * np.float32(w) for row, w in zip(conditions, weights, strict=True)], axis=0)
    if np.abs(mixed).max() > MAX_VALUE:
        raise InvalidField(
            [Violation(field, f"makes an embedding with values beyond {MAX_VALUE:g}; use smaller weights")]
        )
    return np.asarray(mixed, dtype=np.float32)
