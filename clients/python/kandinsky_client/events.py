"""What happens during a call, as `client.stream` tells it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import PIL.Image
from kandinsky_api.v1 import events_pb2

from kandinsky_client.formats import ResultFormat, format_of
from kandinsky_client.pictures import png
from kandinsky_client.receipts import seconds
from kandinsky_client.result_sets import Completed
from kandinsky_client.results import EmbeddingResult, ImageResult


@dataclass(frozen=True)
class Queued:
    """The request waits for a place in a batch. Comes again when a call is tried again.

    Args:
        position: How many trajectories go before this request's first.
        start_seconds: How long until its first step, as predicted.
        finish_seconds: How long until its last result, as predicted.
        request_id: What the server's log knows the request by.
        seed: The seed of the first result.
        trajectory_count: How many trajectories it became: what it holds of the server's queue.
    """

    position: int
    start_seconds: float
    finish_seconds: float
    request_id: str = ""
    seed: int = 0
    trajectory_count: int = 0

    @classmethod
    def from_message(cls, message: events_pb2.Queued) -> Queued:
        """Reads the wire's form."""
        return cls(
            position=message.position,
            start_seconds=seconds(message.predicted_start),
            finish_seconds=seconds(message.predicted_finish),
            request_id=message.request_id,
            seed=message.seed,
            trajectory_count=message.trajectory_count,
        )


@dataclass(frozen=True)
class Progress:
    """One trajectory advanced.

    Args:
        stage: "prior", "decoder", "inpaint" or "controlnet".
        index: The index of the result it will become; of `interpolate`, the place of its condition.
        step: How many steps are done.
        step_count: How many there are.
    """

    stage: str
    index: int
    step: int
    step_count: int

    @classmethod
    def from_message(cls, message: events_pb2.Progress) -> Progress:
        """Reads the wire's form."""
        return cls(message.stage, message.index, message.step, message.step_count)


@dataclass(frozen=True, repr=False)
class Preview:
    """What one image looks like so far.

    Args:
        index: The index of the image.
        step: The step it was taken after.
        step_count: How many steps there are.
        data: The encoded bytes.
        format: How `data` is encoded; "unknown" when this client is older than the encoding.
    """

    index: int
    step: int
    step_count: int
    data: bytes
    format: ResultFormat

    @classmethod
    def from_message(cls, message: events_pb2.Preview) -> Preview:
        """Reads the wire's form."""
        encoding = format_of(message.format)
        return cls(message.index, message.step, message.step_count, message.data, encoding)

    def __repr__(self) -> str:
        step = f"step {self.step} of {self.step_count}"
        return f"<Preview of image {self.index} at {step}: {self.format}, {len(self.data)} bytes>"

    @property
    def image(self) -> PIL.Image.Image:
        """The preview, decoded."""
        return PIL.Image.open(io.BytesIO(self.data))

    def _repr_png_(self) -> bytes:
        """Shows the preview in notebooks."""
        return png(self.image, "preview")


@dataclass(frozen=True)
class EmbeddingReady:
    """An embedding is finished.

    Args:
        result: The embedding.
    """

    result: EmbeddingResult


@dataclass(frozen=True)
class ImageReady:
    """An image is finished and complete.

    Args:
        result: The image.
    """

    result: ImageResult


Event = Queued | Progress | Preview | EmbeddingReady | ImageReady | Completed
