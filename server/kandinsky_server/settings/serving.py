"""How much is taken in, and how long things may take."""

from __future__ import annotations

from pydantic import BaseModel, Field

from kandinsky_server.settings.types import MAX_SECONDS, Count


class Serving(BaseModel):
    """How much is taken in, and how long things may take."""

    queue_size: Count = Field(256, description="Trajectories that may wait or run, over all clients.")
    prior_cache_size: int = Field(
        1024, ge=0, le=2**31 - 1, description="Embeddings kept for equal prior requests."
    )
    default_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="What a client without a share of its own may hold of the queue that others leave: "
        "one of several tokens, or without tokens a connection.",
    )
    step_timeout_seconds: float | None = Field(
        None,
        ge=1,
        le=MAX_SECONDS,
        description="A step that takes longer hangs: the server says so and ends; default the larger of 60 and 20 "
        "times the forecast.",
    )
    load_timeout_seconds: float = Field(
        3600.0,
        ge=1,
        le=MAX_SECONDS,
        description="How long loading a stage, and then preparing each of its networks, may take at the start.",
    )
    target_queue_seconds: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds of queued work at which load reports say that this server is fully used.",
    )
    drain_seconds: float = Field(
        30.0, ge=0, le=MAX_SECONDS, description="How long running work may take to finish on SIGTERM."
    )
