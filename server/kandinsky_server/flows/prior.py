"""Prior: prompts to embeddings."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from kandinsky_server.diffusion.checkpoint import PriorStage
from kandinsky_server.diffusion.prior import PriorSampling, PriorTrajectory, prior_rows
from kandinsky_server.engine.load import Load, single_call
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.trajectory import LaneKey
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.events import EmbeddingReady, Receipt, Timings
from kandinsky_server.flows.requests import ClipImage, Embeddings, PriorRequest, seeded
from kandinsky_server.flows.session import Runtime, Session, embedding_bytes


@dataclass(frozen=True)
class Prompt:
    """A prompt, its negative (None: there is none), and an image to start from."""

    text: str
    negative: str | None
    image: ClipImage | None = None


@dataclass(frozen=True)
class PriorResult:
    """An embedding pair, whether it was cached, and how long it took."""

    embeddings: Embeddings
    cached: bool
    timings: Timings


def prior_loads(
    runtime: Runtime, prompts: Iterable[tuple[Prompt, PriorSampling]], then: tuple[Load, ...] = ()
) -> list[Load]:
    """The work of these results, ``then`` after each.

    What the cache holds is no work; what another request is computing is a wait for the steps it has left.
    """
    stage = runtime.model.prior
    assert stage is not None, "the request was checked against the loaded stages"
    loads: list[Load] = []
    for prompt, sampling in prompts:
        key = _key(stage, prompt, sampling)
        steps = runtime.model.step_counters["prior"](sampling.step_count, sampling.strength)
        if runtime.prior_cache.holds(key):
            loads.extend(then)
        elif runtime.prior_cache.awaits(key):
            done = runtime.priors[key].step if key in runtime.priors else 0
            loads.append(Load(_lane(stage), 0, max(1, steps - done), then, denoising=False))
        else:
            rows = prior_rows(sampling, prompt.negative is not None)
            denoising = Load(_lane(stage), rows, steps, then)
            loads.append(single_call(LaneKey("text_encoder", (stage.token_count,)), (denoising,)))
    return loads


def _lane(stage: PriorStage) -> LaneKey:
    return LaneKey("prior", (stage.embedding_width,))


def prompts_of(request: PriorRequest) -> list[tuple[Prompt, PriorSampling]]:
    """What each result of a request is made from, in order."""
    return [
        (
            Prompt(text, request.negative_prompt, request.image),
            seeded(request.sampling, place * request.image_count + k),
        )
        for place, text in enumerate(request.prompts)
        for k in range(request.image_count)
    ]


async def serve_prior(session: Session, request: PriorRequest, rpc: str = "Prior") -> None:
    """Posts an embedding for each prompt and count as soon as it is finished."""
    count = len(request.prompts) * request.image_count
    await gather(post_prior_result(session, request, index, rpc) for index in range(count))


async def post_prior_result(session: Session, request: PriorRequest, index: int, rpc: str) -> Embeddings:
    """Makes and posts result ``index``."""
    source = index // request.image_count
    prompt, sampling = prompts_of(request)[index]
    result = await prior_result(session, prompt, sampling, index)
    receipt = prior_receipt(
        session, rpc, sampling, result.timings, prompt=prompt.text, negative_prompt=prompt.negative
    )
    truncated = await removed_texts(
        session, {f"prompts[{source}]": prompt.text, "negative_prompt": prompt.negative or ""}
    )
    ready = EmbeddingReady(index, source, result.embeddings, receipt, truncated, result.cached)
    session.mailbox.put(ready, await session.unread.room(embedding_bytes(ready.embeddings)))
    return result.embeddings


async def removed_texts(session: Session, texts: dict[str, str]) -> dict[str, str]:
    """By request field, what the tokenizer's window cut off; fields that fit are left out."""
    cut = {field: (await session.tokens(text)).removed for field, text in texts.items() if text}
    return {field: removed for field, removed in cut.items() if removed}


async def prior_result(session: Session, prompt: Prompt, sampling: PriorSampling, index: int) -> PriorResult:
    """One embedding pair: from the cache, from a request that is computing it now, or computed here."""
    runs: list[Run[Any]] = []

    cache, plan = session.runtime.prior_cache, session.ticket.planned
    key = _key(session.prior, prompt, sampling)

    async def compute() -> Embeddings:
        return await _compute(session, prompt, sampling, index, runs, key)

    follows = plan.forgo("prior") if cache.awaits(key) else ()
    embeddings, cached = await cache.get(key, compute, session.ticket)
    plan.add(follows)
    return PriorResult(embeddings, cached, session.timings(runs[0] if runs else None))


async def _compute(
    session: Session, prompt: Prompt, sampling: PriorSampling, index: int, runs: list[Run[Any]], key: Hashable
) -> Embeddings:
    stage, priors, model = session.prior, session.runtime.priors, session.runtime.model
    followers = session.runtime.prior_cache.followers(key)
    tokens = [await session.tokens(text) for text in (prompt.text, prompt.negative or "")]
    text, negative = await gather(session.encode_text(each, followers) for each in tokens)
    trajectory = PriorTrajectory(
        stage,
        text,
        None if prompt.negative is None else negative,
        negative,
        sampling,
        model.step_counters["prior"](sampling.step_count, sampling.strength),
        None if prompt.image is None else await session.encode_image(prompt.image, followers),
        model.noise_steps.get("prior"),
    )
    priors[key] = trajectory
    try:
        (positive, against), run = await session.denoise(trajectory, stage, index, followers)
    finally:
        del priors[key]
    runs.append(run)
    return Embeddings(positive, session.zero_embedding if against is None else against)


def _key(stage: PriorStage, prompt: Prompt, sampling: PriorSampling) -> Hashable:
    """All that the result depends on."""
    digest = prompt.image.digest if prompt.image else b""
    return (stage.fingerprint, prompt.text, prompt.negative, digest, sampling)


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
