"""One request's way through the engine: the steps that flows are made of."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kandinsky_server.diffusion import pixels, single
from kandinsky_server.diffusion.checkpoint import DecoderStage, PriorStage
from kandinsky_server.diffusion.model import Model
from kandinsky_server.diffusion.prior import PriorTrajectory, TextCondition
from kandinsky_server.diffusion.text import Tokens, tokenize
from kandinsky_server.engine.admission import Admission
from kandinsky_server.engine.cache import SingleFlightCache
from kandinsky_server.engine.engine import Engine
from kandinsky_server.engine.phase import Phase
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.engine.trajectory import Trajectory
from kandinsky_server.errors import StageNotLoaded
from kandinsky_server.flows.events import Progress, Timings
from kandinsky_server.flows.mailbox import Mailbox
from kandinsky_server.flows.previews import Previews
from kandinsky_server.flows.requests import Embeddings, Watch

T = TypeVar("T")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Runtime:
    """What all requests share. ``pool`` runs image work off the event loop and off the device's thread.

    ``priors`` are the prior trajectories under way, by their key in the cache.
    """

    model: Model
    engine: Engine
    admission: Admission
    pool: Executor
    prior_cache: SingleFlightCache[Embeddings]
    dtype_name: str
    priors: dict[Hashable, PriorTrajectory] = field(default_factory=dict)


class Session:
    """One admitted request. Everything it submits carries its ticket."""

    def __init__(self, runtime: Runtime, ticket: Ticket, watch: Watch) -> None:
        self.runtime = runtime
        self.ticket = ticket
        self.watch = watch
        self.mailbox = Mailbox()
        self.started: float | None = None
        self.steps = 0
        self.warnings: list[str] = []

    @property
    def prior(self) -> PriorStage:
        """The loaded prior.

        Raises:
            StageNotLoaded: when there is none.
        """
        if self.runtime.model.prior is None:
            raise StageNotLoaded("this server has no prior; send embeddings that another server's Prior made")
        return self.runtime.model.prior

    async def run(self, trajectory: Trajectory[T]) -> T:
        """Runs a trajectory of one step."""
        return await self.runtime.engine.submit(trajectory, self.ticket).result()

    async def denoise(
        self, trajectory: Trajectory[T], stage: DecoderStage | PriorStage, index: int
    ) -> tuple[T, Run[T]]:
        """Runs a trajectory of many steps and posts its progress and previews as result ``index``."""
        watch = self.watch
        run = self.runtime.engine.submit(trajectory, self.ticket, watch.preview_interval)
        previews = Previews(self.mailbox, index, functools.partial(self._shown, stage))
        reported = 0
        try:
            async for update in run.updates():
                self.started = self.started or run.started
                due = update.step - reported >= watch.progress_interval or update.step == update.step_count
                if watch.progress_interval and due:
                    reported = update.step
                    progress = Progress(stage.name, index, update.step, update.step_count)
                    self.mailbox.replace((stage.name, index), progress)
                previews.offer(update)
            result = await run.result()
        finally:
            self._trace("denoise", run, stage=stage.name, index=index)
            await previews.close()
        self.steps += trajectory.step_count
        return result, run

    async def _shown(self, stage: DecoderStage | PriorStage, latents: Tensor) -> Floats:
        assert isinstance(stage, DecoderStage), "only images have snapshots"
        return await self.decode(stage, latents)

    async def tokens(self, prompt: str) -> Tokens:
        """The prompt's tokens; off the event loop, since a tokenizer takes its time on long texts."""
        return await self.work(tokenize, self.prior, prompt)

    async def encode_text(self, tokens: Tokens) -> TextCondition:
        """What the text encoder makes of a prompt."""
        return await self.run(single.text_encode(tokens.ids, tokens.mask, self.prior.device))

    async def encode_image(self, image: Image.Image) -> Tensor:
        """The CLIP image embedding [1, D]."""
        values = await self.work(self._clip_pixels, image)
        return await self.run(single.encode("image_encoder", values, self.prior.device, self.prior.dtype))

    def _clip_pixels(self, image: Image.Image) -> Floats:
        processed = self.prior.image_processor(image, return_tensors="np")
        return np.ascontiguousarray(processed.pixel_values[0], dtype=np.float32)

    async def zero_embedding(self) -> Floats:
        """The CLIP embedding [D] of a black image: diffusers' negative embedding when there is no negative prompt."""
        side = int(self.prior.image_encoder.config.image_size)
        black = np.zeros((3, side, side), dtype=np.float32)
        return to_floats(
            await self.run(single.encode("image_encoder", black, self.prior.device, self.prior.dtype))
        )

    async def latents(self, stage: DecoderStage, image: Image.Image, width: int, height: int) -> Tensor:
        """MoVQ latents [1, 4, h, w] of an image resized to ``width`` x ``height`` pixels."""
        values = await self.work(pixels.movq_pixels, image, width, height)
        name = self.runtime.model.movq(stage, "encoder")
        return await self.run(single.encode(name, values, stage.device, stage.dtype))

    async def decode(self, stage: DecoderStage, latents: Tensor) -> Floats:
        """Pixels in [0, 1], [H, W, 3]."""
        trajectory = single.movq_decode(self.runtime.model.movq(stage, "decoder"), latents)
        run = self.runtime.engine.submit(trajectory, self.ticket)
        try:
            return await run.result()
        finally:
            self._trace("decode", run, stage=stage.name)

    async def depth_hint(self, image: Image.Image, width: int, height: int) -> Floats:
        """A depth hint [3, height, width] of an image resized to that size, as diffusers' docs resize it."""
        await self.work(self.runtime.model.depth.load)
        resized = await self.work(
            lambda: np.array(image.convert("RGB").resize((width, height)), dtype=np.uint8)
        )
        return await self.run(single.depth_hint(resized))

    async def encode_hint(self, stage: DecoderStage, hint: Floats) -> Tensor:
        """What ControlNet's UNet takes [1, 4, h, w] of a hint [3, height, width]."""
        return await self.run(single.encode(single.HINT_ENCODER, hint, stage.device, stage.dtype))

    async def work(self, function: Callable[..., T], *arguments: Any) -> T:
        """Runs a function in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self.runtime.pool, function, *arguments)

    def _trace(self, name: str, run: Run[Any], **attributes: str | int) -> None:
        """Notes when a run waited and when it worked; one that was cut off, until now."""
        now, phases = time.monotonic(), self.ticket.phases
        phases.append(Phase("queue", run.submitted, run.started or now, {"before": name, **attributes}))
        if run.started:
            phases.append(Phase(name, run.started, run.finished or now, attributes))

    def timings(self, run: Run[Any] | None = None) -> Timings:
        """The request's times so far, or those of one of its runs."""
        now = time.monotonic()
        started = (run.started if run else self.started) or now
        finished = (run.finished if run else None) or now
        arrival = self.ticket.arrival
        return Timings(started - arrival, finished - started, now - arrival)


def to_floats(tensor: Tensor) -> Floats:
    """The first row as float32."""
    return np.ascontiguousarray(tensor[0].float().cpu().numpy())


def to_device(values: Floats, stage: PriorStage | DecoderStage) -> Tensor:
    """One row [1, ...] on the stage's device, in its dtype."""
    return torch.from_numpy(values)[None].to(stage.device, stage.dtype)
