"""What requests may ask for, and what they get when they do not say."""

from __future__ import annotations

from dataclasses import dataclass

from kandinsky_server.rpc.wire_format import Bounds
from kandinsky_server.settings import Settings


@dataclass(frozen=True)
class Limits:
    """The most a request may ask for; see ``Limits`` in server.proto.

    ``places`` is how many places in the queue the client may hold, of ``queue_size``.
    """

    message_bytes: int
    image_count: int
    step_count: int
    pixel_count: int
    prompt_length: int
    input_pixel_count: int
    prompt_count: int
    queue_size: int
    places: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings set."""
        return cls(
            message_bytes=settings.max_message_bytes,
            image_count=settings.max_images,
            step_count=settings.max_steps,
            pixel_count=settings.max_pixels,
            prompt_length=settings.max_prompt_length,
            input_pixel_count=settings.max_input_pixels,
            prompt_count=settings.max_prompts,
            queue_size=settings.queue_size,
            places=settings.queue_size,
        )

    @property
    def bounds(self) -> Bounds:
        """What no request within these limits exceeds: a pair of embeddings is some 20 fields, a character 4 bytes.

        What an earlier try left of a result, two checkpoints and an embedding, is some 45.
        """
        results = self.image_count * self.prompt_count
        return Bounds(values=1000 + 100 * self.prompt_count + 50 * results, text_length=self.prompt_length)


@dataclass(frozen=True)
class Defaults:
    """What unset fields mean that are the same for every family of models; see also `SamplingDefaults`."""

    quality: int = 90
    image_count: int = 1
    progress_interval_steps: int = 1
    preview_max_px: int = 256
