"""What happens during a call, as `client.stream` tells it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import PIL.Image
from kandinsky_api.v1 import types_pb2

from kandinsky_client.formats import FORMATS, ImageFormat
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
    """

    position: int
    start_seconds: float
    finish_seconds: float

    @classmethod
    def from_message(cls, message: types_pb2.Queued) -> Queued:
        """Reads the wire's form."""
        return cls(message.position, seconds(message.predicted_start), seconds(message.predicted_finish))


@dataclass(frozen=True)
class Progress:
    """One trajectory advanced.

    Args:
        stage: "prior", "decoder", "inpaint" or "controlnet".
        index: The index of the result it will become.
        step: How many steps are done.
        step_count: How many there are.
    """

    stage: str
    index: int
    step: int
    step_count: int

    @classmethod
    def from_message(cls, message: types_pb2.Progress) -> Progress:
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
        format: How `data` is encoded.
    """

    index: int
    step: int
    step_count: int
    data: bytes
    format: ImageFormat

    @classmethod
    def from_message(cls, message: types_pb2.Preview) -> Preview:
        """Reads the wire's form."""
        return cls(message.index, message.step, message.step_count, message.data, FORMATS[message.format])

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
