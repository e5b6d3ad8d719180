"""One request's way through the engine: the steps that flows are made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from kandinsky_server.diffusion import pixels
from kandinsky_server.diffusion.model import Model
from kandinsky_server.diffusion.saved_latents import SavedLatents
from kandinsky_server.diffusion.text import Tokens, tokenize
from kandinsky_server.engine.admission.admission import Admission
from kandinsky_server.engine.cache import SingleFlightCache
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.followers import Followers
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.span import Span
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.trajectory import Trajectory
from kandinsky_server.engine.work import Work
from kandinsky_server.errors import NonFinite
from kandinsky_server.families.stages import DecoderStage, PriorStage, Stage
from kandinsky_server.flows.events import CheckpointMade, Picture, Progress, Receipt, Timings
from kandinsky_server.flows.mailbox import Mailbox
from kandinsky_server.flows.previews import Previews
from kandinsky_server.flows.requests import Embeddings, Floats, StreamOptions
from kandinsky_server.flows.unread import Unread, UnreadBudget

T = TypeVar("T")
PIXEL_BYTES = 3 * 4
"""Of an image that is not encoded yet: RGB as float32."""


@dataclass(frozen=True)
class Encoder:
    """``encode`` makes a picture's bytes of pixels in [0, 1], [H, W, 3]; it takes its time. ``format`` is for traces."""

    format: str
    encode: Callable[[Floats, Receipt], bytes]


@dataclass(frozen=True)
class Runtime:
    """What all requests share. ``pool`` runs image work off the event loop and off the device's thread.

    ``priors`` are the prior trajectories under way, by their key in the cache.
    """

    model: Model
    engine: Engine
    admission: Admission
    unread: UnreadBudget
    pool: Executor
    prior_cache: SingleFlightCache[Embeddings]
    dtype_name: str
    priors: dict[Hashable, Trajectory[Any]] = field(default_factory=dict)

    @property
    def prior(self) -> PriorStage:
        """The loaded prior; a request that needs it was checked against the loaded stages."""
        assert self.model.prior is not None, "the request was checked against the loaded stages"
        return self.model.prior


class Session:
    """One admitted request. Everything it submits carries its ticket.

    ``input_digests`` are the SHA-256 of the pictures and embeddings that it came with, by field.
    """

    def __init__(
        self,
        runtime: Runtime,
        ticket: Ticket,
        stream_options: StreamOptions,
        encoder: Encoder,
        input_digests: Mapping[str, str],
    ) -> None:
        self.runtime = runtime
        self.ticket = ticket
        self.stream_options = stream_options
        self.encoder = encoder
        self.input_digests = input_digests
        self.mailbox = Mailbox()
        self.unread = Unread(runtime.unread, ticket)
        self.started: float | None = None
        self.steps = 0
        self.warnings: list[str] = []

    @property
    def prior(self) -> PriorStage:
        """See `Runtime`."""
        return self.runtime.prior

    async def run(self, work: Work[T], *materials: Any, followers: Followers | None = None) -> T:
        """Does work of one step, of ``materials``."""
        trajectory = work.begin(*materials)
        return await self.runtime.engine.submit(work, trajectory, self.ticket, followers=followers).result()

    async def denoise(
        self,
        work: Work[T],
        trajectory: Trajectory[T],
        stage: Stage,
        index: int,
        followers: Followers | None = None,
        previews: Previews | None = None,
    ) -> tuple[T, Run[T]]:
        """Does work of many steps by ``trajectory`` and posts its progress, checkpoints and ``previews`` as ``index``.

        What can be seen takes no steps while the client leaves too much unread. An embedding goes on: others may be
        waiting for it.
        """
        options = self.stream_options
        run = self.runtime.engine.submit(
            work,
            trajectory,
            self.ticket,
            options.preview_interval,
            followers,
            needs_reader=previews is not None,
            checkpoint_interval=options.checkpoint_interval,
        )
        reported = trajectory.step
        try:
            async for update in run.updates():
                self.started = self.started or run.started
                due = update.step - reported >= options.progress_interval or update.step == update.step_count
                if options.progress_interval and due:
                    reported = update.step
                    progress = Progress(stage.name, index, update.step, update.step_count)
                    self.mailbox.replace((stage.name, index), progress)
                if update.checkpoint:
                    self._post_checkpoint(stage, index, update.checkpoint)
                if previews:
                    previews.offer(update)
            result = await run.result()
        finally:
            self._trace("denoise", run, stage=stage.name, index=index)
            if previews:
                await previews.close()
        self.steps += work.steps
        return result, run

    def _post_checkpoint(self, stage: Stage, index: int, latents: SavedLatents) -> None:
        """In place of the unread one; dropped where the client leaves too much unread."""
        key = stage.name, index, "checkpoint"
        if self.mailbox.waiting(key):
            self.mailbox.drop(key)
        if room := self.unread.room_now(len(latents.data)):
            made = CheckpointMade(stage.name, index, stage.fingerprint, latents)
            self.mailbox.replace(key, made, room)

    async def tokens(self, prompt: str) -> Tokens:
        """The prompt's tokens; off the event loop, since a tokenizer takes its time on long texts."""
        return await self.work(tokenize, self.prior, prompt)

    @property
    def zero_embedding(self) -> Floats:
        """The negative embedding [D] where there is no negative prompt."""
        zero = self.runtime.model.zero_embedding
        assert zero is not None, "it was made when the prior had been loaded"
        return zero

    async def decode(self, work: Work[Any], latents: Tensor, stage: str) -> Floats:
        """Pixels in [0, 1], [H, W, 3].

        Raises:
            NonFinite: when MoVQ made NaN; the request's other runs end with it.
        """
        run = self.runtime.engine.submit(work, work.begin(latents), self.ticket)
        try:
            decoded = await run.result()
        finally:
            self._trace("decode", run, stage=stage)
        try:
            return await self.work(pixels.unit_pixels, decoded)
        except NonFinite as failure:
            # As the engine does: what shows in a preview ends the image as well.
            self.ticket.cancel(failure)
            raise

    async def encode(self, made: Floats, receipt: Receipt, index: int) -> Picture:
        """Image ``index`` as its client wants it."""
        started = time.monotonic()
        data = await self.work(self.encoder.encode, made, receipt)
        span = Span("encode", started, time.monotonic(), {"format": self.encoder.format, "index": index})
        self.ticket.spans.append(span)
        return Picture(data, made.shape[1], made.shape[0])

    async def work(self, function: Callable[..., T], *arguments: Any) -> T:
        """Runs a function in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self.runtime.pool, function, *arguments)

    def _trace(self, name: str, run: Run[Any], **attributes: str | int) -> None:
        """Notes when a run waited and when it worked; one that was cut off, until now."""
        now, spans = time.monotonic(), self.ticket.spans
        spans.append(Span("queue", run.submitted, run.started or now, {"before": name, **attributes}))
        if run.started:
            spans.append(Span(name, run.started, run.finished or now, attributes))

    def timings(self, run: Run[Any] | None = None) -> Timings:
        """The request's times so far, or those of one of its runs."""
        now = time.monotonic()
        started = (run.started if run else self.started) or now
        finished = (run.finished if run else None) or now
        arrival = self.ticket.arrival
        return Timings(started - arrival, finished - started, now - arrival)


def pixel_bytes(stage: DecoderStage, latents: Tensor) -> int:
    """What the pixels of latents [1, 4, h, w] take."""
    return latents.shape[2] * latents.shape[3] * stage.factor**2 * PIXEL_BYTES


def embedding_bytes(pair: Embeddings) -> int:
    """What a pair takes."""
    return pair.positive.nbytes + (0 if pair.negative is None else pair.negative.nbytes)


def one_row(values: Floats) -> Tensor:
    """The same values as a row [1, ...], still on the host: only the engine's thread touches the device."""
    return torch.from_numpy(values)[None]
