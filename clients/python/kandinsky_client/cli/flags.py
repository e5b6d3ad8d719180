"""Options that commands share. None is left to the server."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kandinsky_client.cli.files import named_file


class Encoding(StrEnum):
    """The encodings that a file can have."""

    png = "png"
    jpeg = "jpeg"
    webp = "webp"


class Priority(StrEnum):
    """Who goes first."""

    low = "low"
    normal = "normal"
    high = "high"


Count = Annotated[int | None, typer.Option("--image-count", "-n", help="Results for each input.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the first result; result k uses seed + k.")]
Steps = Annotated[int | None, typer.Option("--step-count", "--steps", help="Denoising steps.")]
Guidance = Annotated[float | None, typer.Option("--guidance-scale", help="1 and below is unguided.")]
Strength = Annotated[float | None, typer.Option(help="How far to go from the image, above 0 to 1.")]
PriorityOption = Annotated[
    Priority | None, typer.Option(help="Who goes first when there is more work than room.")
]
Json = Annotated[bool, typer.Option("--json", help="Print results as JSON on stdout.")]


@dataclass(frozen=True)
class EmbeddingFlags:
    """How embeddings are sampled, and where they go."""

    image_count: Count = None
    seed: Seed = None
    step_count: Steps = None
    guidance_scale: Guidance = None
    priority: PriorityOption = None
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", callback=named_file, help="A folder, or a .safetensors file, which takes all."
        ),
    ] = Path(".")
    json: Json = False

    def call_options(self) -> dict[str, Any]:
        """Returns those that the call takes."""
        return _given(self, "output", "json")


@dataclass(frozen=True)
class ImageFlags:
    """How images are sampled, and where they go."""

    image_count: Count = None
    seed: Seed = None
    step_count: Steps = None
    guidance_scale: Guidance = None
    width_px: Annotated[int | None, typer.Option(help="Width in pixels.")] = None
    height_px: Annotated[int | None, typer.Option(help="Height in pixels.")] = None
    priority: PriorityOption = None
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", callback=named_file, help="A folder, or a file; several are numbered."
        ),
    ] = Path(".")
    format: Annotated[
        Encoding | None,
        typer.Option(help="Default: as the suffix says, else png."),
    ] = None
    quality: Annotated[int | None, typer.Option(help="Of jpeg and webp, 1 to 100.")] = None
    json: Json = False

    def call_options(self) -> dict[str, Any]:
        """Returns those that the call takes; the format is the caller's to settle."""
        return _given(self, "output", "format", "json")


def _given(flags: EmbeddingFlags | ImageFlags, *left_out: str) -> dict[str, Any]:
    return {
        name: value for name, value in asdict(flags).items() if name not in left_out and value is not None
    }
