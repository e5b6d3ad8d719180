"""Prior: prompts to embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from kandinsky_server.diffusion.prior import PriorSampling, PriorTrajectory, prior_rows
from kandinsky_server.diffusion.text import Tokens
from kandinsky_server.engine.forecast import Load
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.trajectory import LaneKey
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.events import EmbeddingReady, Receipt, Timings
from kandinsky_server.flows.requests import Embeddings, PriorRequest, seeded
from kandinsky_server.flows.session import Runtime, Session


@dataclass(frozen=True)
class Prompt:
    """A tokenized prompt, its negative (``negative`` None: there is none), and an image to start from."""

    text: str
    tokens: Tokens
    negative: str | None
    negative_tokens: Tokens
    image: Image.Image | None = None


@dataclass(frozen=True)
class PriorResult:
    """An embedding pair, whether it was cached, and how long it took."""

    embeddings: Embeddings
    cached: bool
    timings: Timings


def prior_loads(runtime: Runtime, sampling: PriorSampling, negative: bool, count: int) -> list[Load]:
    """The work of ``count`` embeddings."""
    stage = runtime.model.prior
    if stage is None:
        return []
    steps = runtime.model.step_counters["prior"](sampling.step_count, sampling.strength)
    return [Load(LaneKey("prior", (stage.embedding_width,)), prior_rows(sampling, negative), steps)] * count


async def serve_prior(session: Session, request: PriorRequest, rpc: str = "Prior") -> None:
    """Posts an embedding for each prompt and count as soon as it is finished."""
    count = len(request.prompts) * request.image_count
    await gather(post_prior_result(session, request, index, rpc) for index in range(count))


async def post_prior_result(session: Session, request: PriorRequest, index: int, rpc: str) -> Embeddings:
    """Makes and posts result ``index``."""
    source = index // request.image_count
    sampling = seeded(request.sampling, index)
    prompt = await tokenized(session, request.prompts[source], request.negative_prompt, request.image)
    result = await prior_result(session, prompt, sampling, index)
    texts = {f"prompts[{source}]": prompt.tokens.removed, "negative_prompt": prompt.negative_tokens.removed}
    session.mailbox.put(
        EmbeddingReady(
            index,
            source,
            result.embeddings,
            prior_receipt(
                session,
                rpc,
                sampling,
                result.timings,
                prompt=prompt.text,
                negative_prompt=prompt.negative or "",
            ),
            {field: removed for field, removed in texts.items() if removed},
            result.cached,
        )
    )
    return result.embeddings


async def tokenized(
    session: Session, text: str, negative: str | None, image: Image.Image | None = None
) -> Prompt:
    """Tokenizes a prompt and its negative."""
    return Prompt(text, await session.tokens(text), negative, await session.tokens(negative or ""), image)


async def prior_result(session: Session, prompt: Prompt, sampling: PriorSampling, index: int) -> PriorResult:
    """One embedding pair: from the cache, from a request that is computing it now, or computed here."""
    runs: list[Run[Any]] = []

    async def compute() -> Embeddings:
        return await _compute(session, prompt, sampling, index, runs)

    embeddings, cached = await session.runtime.prior_cache.get(_key(session, prompt, sampling), compute)
    return PriorResult(embeddings, cached, session.timings(runs[0] if runs else None))


async def _compute(
    session: Session, prompt: Prompt, sampling: PriorSampling, index: int, runs: list[Run[Any]]
) -> Embeddings:
    stage = session.prior
    text, negative = await gather(map(session.encode_text, [prompt.tokens, prompt.negative_tokens]))
    trajectory = PriorTrajectory(
        stage,
        text,
        None if prompt.negative is None else negative,
        negative,
        sampling,
        session.runtime.model.step_counters["prior"](sampling.step_count, sampling.strength),
        None if prompt.image is None else await session.encode_image(prompt.image),
    )
    (positive, against), run = await session.denoise(trajectory, stage, index)
    runs.append(run)
    return Embeddings(positive, await session.zero_embedding() if against is None else against)


def _key(session: Session, prompt: Prompt, sampling: PriorSampling) -> Hashable:
    """All that the result depends on."""
    digest = b""
    if prompt.image is not None:
        image = prompt.image
        digest = hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).digest()
    return (session.prior.fingerprint, prompt.text, prompt.negative, digest, sampling)


def prior_receipt(
    session: Session, rpc: str, sampling: PriorSampling, timings: Timings, **what: Any
) -> Receipt:
    """The receipt of an embedding; ``what`` is its prompts or weights."""
    stage = session.prior
    return Receipt(
        rpc=rpc,
        seed=sampling.seed,
        step_count=sampling.step_count,
        guidance_scale=sampling.guidance_scale,
        strength=sampling.strength,
        stage=stage.name,
        fingerprint=stage.fingerprint,
        scheduler=type(stage.scheduler).__name__,
        backend=session.runtime.model.networks["prior"].backend,
        dtype=session.runtime.dtype_name,
        timings=timings,
        **what,
    )
