"""RequestOptions and OutputOptions."""

from __future__ import annotations

from dataclasses import dataclass

from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.engine import ticket
from kandinsky_server.flows.requests import StreamOptions
from kandinsky_server.images.formats import misfit
from kandinsky_server.rpc.limits import Defaults
from kandinsky_server.rpc.violations import Violations

PRIORITIES = {
    pb.PRIORITY_UNSPECIFIED: ticket.NORMAL,
    pb.PRIORITY_LOW: ticket.LOW,
    pb.PRIORITY_NORMAL: ticket.NORMAL,
    pb.PRIORITY_HIGH: ticket.HIGH,
}
OUTPUT_FORMATS = {
    pb.IMAGE_FORMAT_UNSPECIFIED: "PNG",
    pb.IMAGE_FORMAT_PNG: "PNG",
    pb.IMAGE_FORMAT_JPEG: "JPEG",
    pb.IMAGE_FORMAT_WEBP: "WEBP",
    pb.IMAGE_FORMAT_RAW_RGB8: "RAW_RGB8",
    pb.IMAGE_FORMAT_RAW_RGB_F32: "RAW_RGB_F32",
}
PREVIEW_FORMATS = {
    pb.IMAGE_FORMAT_UNSPECIFIED: "JPEG",
    pb.IMAGE_FORMAT_JPEG: "JPEG",
    pb.IMAGE_FORMAT_WEBP: "WEBP",
}
MAX_INTERVAL = 2**31 - 1


@dataclass(frozen=True)
class Output:
    """How images are encoded; ``kind`` as in `OUTPUT_FORMATS`."""

    kind: str = "PNG"
    quality: int = Defaults.quality
    embed_receipt: bool = False


def read_stream_options(found: Violations, message: pb.RequestOptions, shows_images: bool) -> StreamOptions:
    """What the client wants to see on the way. Also checks the priority, which `read_priority` reads."""
    progress = Defaults.progress_interval_steps
    if message.HasField("progress_interval_steps"):
        progress = message.progress_interval_steps
    found.integer("options.progress_interval_steps", progress, 0, MAX_INTERVAL)
    if shows_images:
        found.integer("options.preview_interval_steps", message.preview_interval_steps, 0, MAX_INTERVAL)
    elif message.preview_interval_steps:
        found.add("options.preview_interval_steps", "must be 0: embeddings have no previews")
    side = message.preview_max_px if message.HasField("preview_max_px") else Defaults.preview_max_px
    found.integer("options.preview_max_px", side, 16, 1024)
    if message.preview_format not in PREVIEW_FORMATS:
        found.add("options.preview_format", "must be JPEG or WEBP")
    found.integer("options.checkpoint_interval_steps", message.checkpoint_interval_steps, 0, MAX_INTERVAL)
    if message.priority not in PRIORITIES:
        found.add("options.priority", f"must be one of {', '.join(pb.Priority.keys())}")
    return StreamOptions(
        progress_interval=progress,
        preview_interval=message.preview_interval_steps,
        preview_format=PREVIEW_FORMATS.get(message.preview_format, "JPEG"),
        preview_max_px=side,
        checkpoint_interval=message.checkpoint_interval_steps,
    )


def read_priority(message: pb.RequestOptions) -> int:
    """The ticket's priority; unknown values are `read_stream_options`'s to refuse."""
    return PRIORITIES.get(message.priority, ticket.NORMAL)


def check_output(found: Violations, output: Output, width: int, height: int) -> None:
    """Whether the format can hold images of this size; previews are too small for any limit."""
    if complaint := misfit(output.kind, width, height):
        found.add("output.format", complaint)


def read_output(found: Violations, message: pb.OutputOptions) -> Output:
    """How images are to be encoded."""
    quality = message.quality if message.HasField("quality") else Defaults.quality
    found.integer("output.quality", quality, 1, 100)
    kind = OUTPUT_FORMATS.get(message.format)
    if kind is None:
        found.add("output.format", f"must be one of {', '.join(dict.fromkeys(OUTPUT_FORMATS.values()))}")
    elif message.embed_receipt and kind != "PNG":
        found.add("output.embed_receipt", f"needs PNG; {kind} carries no text")
    return Output(kind or "PNG", quality, message.embed_receipt)
