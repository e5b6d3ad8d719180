"""What a flow tells as it goes; ``rpc/`` turns each into a response message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kandinsky_server.diffusion.prior import PriorSampling
from kandinsky_server.diffusion.saved_latents import SavedLatents
from kandinsky_server.flows.requests import Embeddings


@dataclass(frozen=True)
class Picture:
    """An encoded image; sizes in pixels."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Timings:
    """Seconds."""

    queued: float
    denoising: float
    total: float


@dataclass(frozen=True)
class Receipt:
    """What made a result; see ``Receipt`` in types.proto. Sizes in pixels, 0 for embeddings."""

    rpc: str
    seed: int
    step_count: int
    guidance_scale: float
    stage: str
    fingerprint: str
    scheduler: str
    backend: str
    dtype: str
    timings: Timings
    strength: float | None = None
    width: int = 0
    height: int = 0
    prompt: str | None = None
    negative_prompt: str | None = None
    paste_original: bool = False
    weights: tuple[float, ...] = ()
    prior_sampling: PriorSampling | None = None
    negative_prior_prompt: str | None = None
    condition_texts: dict[int, str] = field(default_factory=dict)
    input_digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Queued:
    """Seconds from now; ``position`` counts the trajectories that go before, ``trajectory_count`` those of the request.

    ``seed`` is that of the first result.
    """

    position: int
    predicted_start: float
    predicted_finish: float
    request_id: str
    seed: int
    trajectory_count: int


@dataclass(frozen=True)
class Progress:
    """One trajectory, at a step."""

    stage: str
    index: int
    step: int
    step_count: int


@dataclass(frozen=True)
class CheckpointMade:
    """Where trajectory ``index`` of the stage with this fingerprint can be gone on with."""

    stage: str
    index: int
    fingerprint: str
    latents: SavedLatents


@dataclass(frozen=True)
class Preview:
    """What image ``index`` looks like after ``step``."""

    index: int
    step: int
    step_count: int
    picture: Picture


@dataclass(frozen=True)
class EmbeddingReady:
    """A finished pair. ``truncated`` maps request fields to the text that was cut."""

    index: int
    source_index: int
    embeddings: Embeddings
    receipt: Receipt
    truncated: dict[str, str] = field(default_factory=dict)
    cached: bool = False


@dataclass(frozen=True)
class ImageReady:
    """A finished image."""

    index: int
    source_index: int
    picture: Picture
    receipt: Receipt


@dataclass(frozen=True)
class Completed:
    """The end of a stream that succeeded. ``warnings`` are sentences about what the client may not have meant."""

    embedding_count: int
    image_count: int
    step_count: int
    seed: int
    timings: Timings
    warnings: tuple[str, ...] = ()


Event = Queued | Progress | CheckpointMade | Preview | EmbeddingReady | ImageReady | Completed
