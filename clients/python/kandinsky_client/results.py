"""What calls give: finished embeddings and images."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from kandinsky_api.v1 import events_pb2

from kandinsky_client.embeddings import EmbeddingPair
from kandinsky_client.formats import RAW_DTYPES, SUFFIX_FORMATS, ResultFormat
from kandinsky_client.pictures import png
from kandinsky_client.receipts import Receipt


@dataclass(frozen=True)
class TruncatedText:
    """A part of a prompt that was ignored, because the text encoder's window is full.

    Args:
        field: The request field, such as "prompts[0]".
        removed_text: The text that was cut.
    """

    field: str
    removed_text: str


@dataclass(frozen=True, repr=False)
class EmbeddingResult:
    """A finished embedding pair.

    Args:
        index: Its place among the results, from 0.
        source_index: The index of the prompt, or of the weight vector, it was made for.
        embedding: The pair, ready for the image calls (`decode`, `img2img`, `inpaint`, `controlnet`).
        receipt: What made it.
        truncated_texts: What was cut off the prompts.
        cached: Whether it came from the server's prior cache.
    """

    index: int
    source_index: int
    embedding: EmbeddingPair
    receipt: Receipt
    truncated_texts: tuple[TruncatedText, ...] = ()
    cached: bool = False

    def __repr__(self) -> str:
        return f"<EmbeddingResult {self.index} of seed {self.seed}: {self.embedding!r}>"

    @classmethod
    def from_message(cls, message: events_pb2.EmbeddingResult) -> EmbeddingResult:
        """Reads the wire's form."""
        receipt = Receipt.from_message(message.receipt)
        return cls(
            index=message.index,
            source_index=message.source_index,
            embedding=EmbeddingPair.from_message(message.embeddings, receipt),
            receipt=receipt,
            truncated_texts=tuple(TruncatedText(t.field, t.removed_text) for t in message.truncated_texts),
            cached=message.cached,
        )

    @property
    def seed(self) -> int:
        """The seed of this very result."""
        return self.receipt.seed

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a `.safetensors` file of the pair; see `save_embeddings`."""
        self.embedding.save(path)


@dataclass(frozen=True, repr=False)
class ImageResult:
    """A finished image.

    Args:
        index: Its place among the results, from 0.
        source_index: The index of the embedding pair it was made from.
        data: The bytes as the server sent them.
        format: How `data` is encoded; "unknown" when this client is older than the encoding.
        width_px: Width in pixels.
        height_px: Height in pixels.
        receipt: What made it.
        embedding: The pair it was made from, for `generate`; None elsewhere, where the caller gave it.
    """

    index: int
    source_index: int
    data: bytes
    format: ResultFormat
    width_px: int
    height_px: int
    receipt: Receipt
    embedding: EmbeddingPair | None = None

    def __repr__(self) -> str:
        size = f"{self.width_px}x{self.height_px}"
        return f"<ImageResult {self.index} of seed {self.seed}: {size} {self.format}, {len(self.data)} bytes>"

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the decoded `image`, which is made again when it is asked for."""
        return {name: value for name, value in self.__dict__.items() if name != "image"}

    @property
    def seed(self) -> int:
        """The seed of this very result."""
        return self.receipt.seed

    @cached_property
    def image(self) -> PIL.Image.Image:
        """The image, 8-bit RGB; raw_rgb_f32 is rounded."""
        if self.format in RAW_DTYPES:
            pixels = self.array
            if pixels.dtype == np.float32:
                pixels = (pixels.clip(0, 1) * 255).round().astype(np.uint8)
            return PIL.Image.fromarray(pixels)
        image = PIL.Image.open(io.BytesIO(self.data))
        image.load()
        return image

    def _repr_png_(self) -> bytes:
        """Shows the image in notebooks."""
        return self.data if self.format == "png" else png(self.image, "image")

    @property
    def array(self) -> npt.NDArray[Any]:
        """The pixels, [height, width, 3]: float32 in [0, 1] for raw_rgb_f32, else uint8."""
        if self.format in RAW_DTYPES:
            stored = np.frombuffer(self.data, RAW_DTYPES[self.format])
            return stored.reshape(self.height_px, self.width_px, 3)
        return np.asarray(self.image.convert("RGB"))

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the image, making its folder and replacing what was there.

        The server's own bytes are kept, and with them an embedded receipt, when the suffix is that of their
        format; else Pillow converts.

        Raises:
            ValueError: A suffix that Pillow does not know.
            OSError: The file cannot be written.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if SUFFIX_FORMATS.get(target.suffix.lower()) == self.format:
            target.write_bytes(self.data)
        else:
            self.image.save(target)
