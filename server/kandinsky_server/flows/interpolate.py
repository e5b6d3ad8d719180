"""Interpolate: weighted sums of what Prior returns for each condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kandinsky_server.engine.load import Load
from kandinsky_server.errors import InvalidField, Violation
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.events import EmbeddingReady
from kandinsky_server.flows.prior import Prompt, prior_loads, prior_receipt, prior_result, removed_texts
from kandinsky_server.flows.requests import (
    MAX_VALUE,
    ClipImage,
    Embeddings,
    Floats,
    InterpolateRequest,
    seeded,
)
from kandinsky_server.flows.session import Runtime, Session, embedding_bytes


def interpolate_loads(runtime: Runtime, request: InterpolateRequest) -> list[Load]:
    """The work of the text conditions and of the negative prompt."""
    texts = [condition for condition in request.conditions if isinstance(condition, str)]
    if _needs_negative_run(request):
        texts.append(request.negative_prompt)
    samplings = [seeded(request.sampling, count) for count in range(request.image_count)]
    return prior_loads(
        runtime,
        [(Prompt(text, request.negative_prior_prompt), sampling) for text in texts for sampling in samplings],
    )


async def serve_interpolate(session: Session, request: InterpolateRequest) -> None:
    """Posts an embedding for each weight vector and count, in order.

    Equals ``interpolate`` of diffusers' KandinskyV22PriorPipeline with a fresh generator for every condition.
    """
    columns = await gather(_column(session, request, count) for count in range(request.image_count))
    removed = await _removed(session, request)
    texts = {place: text for place, text in enumerate(request.conditions) if isinstance(text, str)}
    for frame, weights in enumerate(request.weights):
        for count, (conditions, negative) in enumerate(columns):
            mixed = _mixed(conditions, weights, f"weights[{frame}]")
            sampling = seeded(request.sampling, count)
            receipt = prior_receipt(
                session,
                "Interpolate",
                sampling,
                session.timings(),
                weights=weights,
                negative_prompt=request.negative_prompt,
                negative_prior_prompt=request.negative_prior_prompt,
                condition_texts=texts,
            )
            pair = Embeddings(mixed, negative)
            index = frame * request.image_count + count
            room = await session.unread.room(embedding_bytes(pair))
            session.mailbox.put(EmbeddingReady(index, frame, pair, receipt, removed), room)


def _mixed(conditions: Sequence[Floats], weights: Sequence[float], field: str) -> Floats:
    """Weighted in float32 and added in order, as diffusers does."""
    mixed = np.sum([row * np.float32(w) for row, w in zip(conditions, weights, strict=True)], axis=0)
    if np.abs(mixed).max() > MAX_VALUE:
        raise InvalidField(
            [Violation(field, f"makes an embedding with values beyond {MAX_VALUE:g}; use smaller weights")]
        )
    return np.asarray(mixed, dtype=np.float32)


async def _column(session: Session, request: InterpolateRequest, count: int) -> tuple[list[Floats], Floats]:
    """Each condition's embedding and the negative one, all from the seed of result ``count``."""
    conditions = gather(
        _condition(session, request, condition, place, count)
        for place, condition in enumerate(request.conditions)
    )
    # The negative prompt's run is shown after those of the conditions.
    return await conditions, await _negative(session, request, count)


async def _condition(
    session: Session,
    request: InterpolateRequest,
    condition: str | ClipImage | Floats,
    place: int,
    count: int,
) -> Floats:
    if isinstance(condition, str):
        return (await _run(session, request, condition, place, count)).positive
    if isinstance(condition, ClipImage):
        return await session.encode_image(condition)
    return condition


async def _negative(session: Session, request: InterpolateRequest, count: int) -> Floats:
    if not _needs_negative_run(request):
        return session.zero_embedding
    pair = await _run(session, request, request.negative_prompt, len(request.conditions), count)
    chosen = pair.positive if request.negative_prompt else pair.negative
    assert chosen is not None
    return chosen


def _needs_negative_run(request: InterpolateRequest) -> bool:
    """Without any negative prompt the negative embedding is a black image's, and the run could not change it."""
    return bool(request.negative_prompt) or request.negative_prior_prompt is not None


async def _run(
    session: Session, request: InterpolateRequest, text: str, place: int, count: int
) -> Embeddings:
    prompt = Prompt(text, request.negative_prior_prompt)
    index = place * request.image_count + count
    return (await prior_result(session, prompt, seeded(request.sampling, count), index)).embeddings


async def _removed(session: Session, request: InterpolateRequest) -> dict[str, str]:
    texts = {
        f"conditions[{k}].text": text for k, text in enumerate(request.conditions) if isinstance(text, str)
    }
    texts["negative_prompt"] = request.negative_prompt
    texts["negative_prior_prompt"] = request.negative_prior_prompt or ""
    return await removed_texts(session, texts)
