"""What one request or one connection may ask for and hold."""

from __future__ import annotations

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from kandinsky_server.families.sizes import parse_size
from kandinsky_server.settings.types import MAX_SECONDS, MAX_TEXT, Amount, Count


class RequestLimits(BaseModel):
    """What one request or one connection may ask for and hold."""

    max_message_bytes: Count = Field(32 * 1024 * 1024, description="Bytes of one request message.")
    max_receiving_bytes: Amount = Field(
        512 * 1024 * 1024,
        validate_default=True,
        description="Bytes of messages on their way in; each counts as max_message_bytes until it is there.",
    )
    receive_seconds: float = Field(
        30.0, gt=0, le=MAX_SECONDS, description="How long a message may take to arrive once it is being read."
    )
    max_images: Count = Field(16, description="Results of one request.")
    max_steps: Count = Field(1000, description="Denoising steps of one request.")
    max_pixels: Count = Field(2048 * 2048, description="Pixels of one output image.")
    max_input_pixels: Count = Field(4096 * 4096, description="Pixels of one input image.")
    max_decoded_bytes: Amount = Field(
        1024**3, description="Bytes of decoded input images, over all requests that wait or run."
    )
    decode_seconds: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long one input image may take to decode; its process is killed then.",
    )
    max_prompts: Count = Field(16, description="Prompts, conditions or embedding pairs of one request.")
    max_prompt_length: Count = Field(2000, description="Characters of one prompt.")
    max_streams: Count = Field(
        512,
        description="Calls at once of one connection; more than queue_size, so that a full queue is told.",
    )
    max_connections: Count = Field(
        512, description="Connections at once, half-open ones too; each is an open file."
    )
    handshake_seconds: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long a new connection may take until it speaks HTTP/2, TLS included.",
    )
    idle_seconds: float = Field(
        300.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long a connection without calls is kept; clients open another unseen.",
    )
    write_timeout_seconds: float = Field(
        120.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long a client may take to read one message, of 1 MiB at most.",
    )
    max_request_seconds: float = Field(
        14400.0,
        gt=0,
        le=7 * MAX_SECONDS,
        description="Longest life of a request, from its arrival to its last message.",
    )
    max_unread_bytes: Amount = Field(
        1024 * 1024 * 1024, description="Bytes of results that clients have not read yet, over all requests."
    )
    max_request_unread_bytes: Amount = Field(
        128 * 1024 * 1024,
        description="The same of one request; with more than that its images are not worked on.",
    )
    reflection: bool = Field(True, description="Let clients list the services and their messages.")

    @field_validator("max_prompt_length")
    @classmethod
    def _receipts_fit_a_message(cls, length: int, info: ValidationInfo) -> int:
        """A result of Interpolate repeats all its texts, and what was cut off them, in a message of 2 MiB at most."""
        texts = info.data.get("max_prompts", 0) + 2
        if texts * length > MAX_TEXT:
            raise ValueError(
                f"with max_prompts {texts - 2} it may be at most {MAX_TEXT // texts}: a receipt repeats every text"
            )
        return length

    @field_validator("max_pixels")
    @classmethod
    def _sizes_are_allowed(cls, most: int, info: ValidationInfo) -> int:
        for size in map(parse_size, info.data.get("sizes") or ()):
            if size.height * size.width > most:
                raise ValueError(f"sizes has {size}, which is more than max_pixels, {most}")
        return most

    @field_validator("max_receiving_bytes")
    @classmethod
    def _some_messages_fit(cls, receiving: int, info: ValidationInfo) -> int:
        least = 2 * info.data.get("max_message_bytes", 0)
        if receiving < least:
            raise ValueError(f"must have room for two messages of max_message_bytes, so be at least {least}")
        return receiving
