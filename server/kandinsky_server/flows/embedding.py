"""One embedding pair: from the cache, from a request that is computing it now, or computed here."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from kandinsky_server.diffusion import single
from kandinsky_server.diffusion.prior import PriorSampling, PriorTrajectory, TextCondition, prior_rows
from kandinsky_server.diffusion.saved_latents import SavedLatents
from kandinsky_server.diffusion.text import Tokens
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.work import Work, single_call, wait
from kandinsky_server.families.stages import IMAGE_ENCODER, PRIOR, TEXT_ENCODER, PriorStage
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.events import Timings
from kandinsky_server.flows.requests import ClipImage, Embeddings, Floats
from kandinsky_server.flows.resume import Resume
from kandinsky_server.flows.session import Runtime, Session


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


class EmbeddingWork:
    """The work of one pair, as the cache stands now: none, a wait for another request, or a computation.

    ``works`` says it in order; what takes the pair needs ``ends``.
    """

    def __init__(
        self, runtime: Runtime, prompt: Prompt, sampling: PriorSampling, begun: SavedLatents | None = None
    ) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self._begun = begun
        self._key = _cache_key(runtime.prior, prompt, sampling)
        self._computation: _Computation | None = None
        self.works: tuple[Work[Any], ...] = ()
        self.ends: tuple[Work[Any], ...] = ()
        if runtime.prior_cache.awaits(self._key):
            left = self._steps_left(runtime)
            self.works = self.ends = (wait(runtime.prior.key(PRIOR), left),)
        elif not runtime.prior_cache.holds(self._key):
            self._computation = _Computation(runtime, prompt, sampling, begun)
            self.works, self.ends = self._computation.works, self._computation.ends

    async def result(self, session: Session, index: int) -> PriorResult:
        """The pair; its progress is told as that of result ``index``."""
        runtime, plan, runs = session.runtime, session.ticket.planned, list[Run[Any]]()

        async def compute() -> Embeddings:
            computation = self._computation
            if computation is None:
                # It was in the cache or on its way when the request was read, and is no more.
                plan.drop(*self.works)
                computation = _Computation(runtime, self.prompt, self.sampling, self._begun)
            self._computation = None
            return await computation.run(session, index, self._key, runs)

        if self._computation and runtime.prior_cache.awaits(self._key):
            self._computation.follow(session, self._steps_left(runtime))
            self._computation = None
        embeddings, cached = await runtime.prior_cache.get(self._key, compute, session.ticket)
        plan.drop(*self.works)
        return PriorResult(embeddings, cached, session.timings(runs[0] if runs else None))

    def _steps_left(self, runtime: Runtime) -> int:
        """Of the request that computes it now: all of them as long as its first step is to come."""
        sampling, trajectory = self.sampling, runtime.priors.get(self._key)
        steps = runtime.prior.noise_scheduler().count(sampling.step_count, sampling.strength)
        return max(1, steps - (trajectory.step if trajectory else 0))


class _Computation:
    """Text encoder, start image, steps, of which some are done where it has ``begun``."""

    def __init__(
        self, runtime: Runtime, prompt: Prompt, sampling: PriorSampling, begun: SavedLatents | None
    ) -> None:
        stage, self._prompt = runtime.prior, prompt
        self._texts = [text_work(stage), text_work(stage)]
        self._start = [clip_work(stage)] if prompt.image else []
        scheduler = stage.noise_scheduler()
        steps = scheduler.count(sampling.step_count, sampling.strength)

        def make(text: TextCondition, against: TextCondition, start: Floats | None = None) -> PriorTrajectory:
            negative = None if prompt.negative is None else against
            return PriorTrajectory(stage, scheduler, text, negative, against, sampling, start, begun)

        rows = prior_rows(sampling, prompt.negative is not None)
        left = steps - begun.step if begun else steps
        self._denoise = Work(stage.key(PRIOR), rows, left, make, (*self._texts, *self._start))
        self.works: tuple[Work[Any], ...] = (*self._texts, *self._start, self._denoise)
        self.ends: tuple[Work[Any], ...] = (self._denoise,)

    def follow(self, session: Session, steps: int) -> None:
        """Another request does it, and has so many steps left."""
        session.ticket.planned.drop(*self._texts, *self._start)
        self._denoise.follow(steps)

    async def run(self, session: Session, index: int, key: Hashable, runs: list[Run[Any]]) -> Embeddings:
        """Computes the pair, for all who wait for ``key``; the run of its steps is added to ``runs``."""
        priors, followers = session.runtime.priors, session.runtime.prior_cache.followers(key)
        texts = (self._prompt.text, self._prompt.negative or "")
        tokens = [await session.tokens(text) for text in texts]
        jobs = zip(self._texts, tokens, strict=True)
        conditions = await gather(session.run(work, each, followers=followers) for work, each in jobs)
        image = self._prompt.image
        start = [await session.run(work, image.values, followers=followers) for work in self._start if image]
        trajectory = self._denoise.begin(*conditions, *start)
        priors[key] = trajectory
        try:
            denoising = session.denoise(self._denoise, trajectory, session.prior, index, followers)
            (positive, negative), run = await denoising
        finally:
            del priors[key]
        runs.append(run)
        return Embeddings(positive, session.zero_embedding if negative is None else negative)


def begun_prior(
    runtime: Runtime, prompt: Prompt, sampling: PriorSampling, index: int, resume: Resume
) -> SavedLatents | None:
    """Where the prior's trajectory ``index`` goes on; one that is finished has been delivered as an embedding."""
    stage = runtime.prior
    rows = 1 if prompt.negative is None else 2
    steps = stage.noise_scheduler().count(sampling.step_count, sampling.strength)
    return resume.begun(stage, index, (rows, stage.embedding_width), steps, most=steps - 1)


def text_work(stage: PriorStage) -> Work[TextCondition]:
    """One call of the text encoder, for the tokens of one prompt."""

    def make(tokens: Tokens) -> single.SingleStep[TextCondition]:
        return single.text_encode(tokens.ids, tokens.mask, stage.device)

    return single_call(stage.key(TEXT_ENCODER), make)


def clip_work(stage: PriorStage) -> Work[Floats]:
    """One call of CLIP's image encoder, for a processed picture [3, S, S]."""

    def make(values: Floats) -> single.SingleStep[Floats]:
        return single.clip_encode(values, stage.device, stage.dtype)

    return single_call(stage.key(IMAGE_ENCODER), make)


async def removed_texts(session: Session, texts: dict[str, str]) -> dict[str, str]:
    """By request field, what the tokenizer's window cut off; fields that fit are left out."""
    cut = {field: (await session.tokens(text)).removed for field, text in texts.items() if text}
    return {field: removed for field, removed in cut.items() if removed}


def all_works(parts: Iterable[EmbeddingWork]) -> list[Work[Any]]:
    """The works of several pairs."""
    return [work for part in parts for work in part.works]


def _cache_key(stage: PriorStage, prompt: Prompt, sampling: PriorSampling) -> Hashable:
    """All that the result depends on."""
    digest = prompt.image.digest if prompt.image else b""
    return (stage.fingerprint, prompt.text, prompt.negative, digest, sampling)
