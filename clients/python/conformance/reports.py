"""What the program reports, by the keys of conformance/README.md."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from kandinsky_api.v1 import server_pb2, types_pb2
from kandinsky_client import (
    Completed,
    Embedding,
    EmbeddingFileError,
    EmbeddingReady,
    EmbeddingResult,
    Estimate,
    Event,
    ImageReady,
    ImageResult,
    IncompleteStreamError,
    Preview,
    Progress,
    Queued,
    RpcError,
    save_embeddings,
)

KINDS: dict[type[Event], str] = {
    Queued: "queued",
    Progress: "progress",
    Preview: "preview",
    EmbeddingReady: "embedding",
    ImageReady: "image",
    Completed: "completed",
}


class Report:
    """Fills up while a case is carried out.

    Args:
        case: The case.
    """

    def __init__(self, case: Mapping[str, Any]) -> None:
        self._case = case
        self._embeddings: list[EmbeddingResult] = []
        self.content: dict[str, Any] = {"case": case["case"]}

    def add(self, event: Event) -> bool:
        """Takes an event; returns whether the case cancels at it."""
        kind = KINDS[type(event)]
        self._append("events", kind)
        match event:
            case Queued():
                self.content["queued"] = {
                    "position": event.position,
                    "request_id": event.request_id,
                    "seed": event.seed,
                    "trajectory_count": event.trajectory_count,
                }
            case Progress():
                self._append("progress", [event.stage, event.index, event.step, event.step_count])
            case Preview():
                self._append("previews", _preview(event))
            case EmbeddingReady():
                self._embeddings.append(event.result)
                self._append("embeddings", _embedding(event.result))
            case ImageReady():
                self._append("images", _image(event.result))
            case Completed():
                self.content["completed"] = {
                    "embedding_count": event.embedding_count,
                    "image_count": event.image_count,
                    "step_count": event.step_count,
                    "seed": event.seed,
                    "warnings": list(event.warnings),
                }
        return kind == self._case.get("cancel_on")

    def save(self) -> None:
        """Saves the embeddings that came, in their order, where the case says so."""
        if "save_file" in self._case:
            results = sorted(self._embeddings, key=lambda result: result.index)
            save_embeddings(self._case["save_file"], results)

    def answer(self, key: str, message: Message) -> None:
        """Takes the answer of a call that is no stream."""
        self.content[key] = base64.b64encode(message.SerializeToString()).decode()

    def fail(self, error: Exception) -> None:
        """Takes what the call raised; raises it again when it is none of the client's errors."""
        self.content["error"] = _error(error)

    def _append(self, key: str, value: object) -> None:
        self.content.setdefault(key, []).append(value)


def estimate_message(estimate: Estimate) -> server_pb2.EstimateResponse:
    """Returns the contract's form of what the client gives as an object of its own."""
    return server_pb2.EstimateResponse(
        queue_wait=_duration(estimate.queue_wait_seconds),
        run_time=_duration(estimate.run_seconds),
        step_count=estimate.step_count,
        trajectory_count=estimate.trajectory_count,
        queue_length=estimate.queue_length,
        measured=estimate.measured,
    )


def _error(error: Exception) -> dict[str, Any]:
    match error:
        case RpcError():
            return {
                "kind": "rpc",
                "code": error.code.name,
                "reason": error.reason,
                "metadata": error.metadata,
                "violations": [[each.field, each.description] for each in error.field_violations],
                "retry_delay_seconds": error.retry_delay,
                "request_id": error.request_id,
            }
        case IncompleteStreamError():
            return {"kind": "incomplete_stream"}
        case EmbeddingFileError():
            return {"kind": "embedding_file"}
        case ValueError() | TypeError():
            return {"kind": "argument"}
    raise error


def _preview(preview: Preview) -> dict[str, Any]:
    return {
        "index": preview.index,
        "step": preview.step,
        "step_count": preview.step_count,
        "format": _format(preview.format),
        "sha256": _sha256(preview.data),
    }


def _image(image: ImageResult) -> dict[str, Any]:
    return {
        "index": image.index,
        "source_index": image.source_index,
        "format": _format(image.format),
        "width_px": image.width_px,
        "height_px": image.height_px,
        "size_bytes": len(image.data),
        "sha256": _sha256(image.data),
        "seed": image.seed,
    }


def _embedding(result: EmbeddingResult) -> dict[str, Any]:
    positive, negative = result.embedding.positive, result.embedding.negative
    first = float(positive.array.reshape(-1)[0])
    return {
        "index": result.index,
        "source_index": result.source_index,
        "fingerprint": positive.prior_fingerprint,
        "width": positive.array.size,
        "positive_sha256": _floats_sha256(positive),
        "negative_sha256": _floats_sha256(negative) if negative else None,
        "first": first if math.isfinite(first) else None,  # JSON has no other numbers
    }


def _format(name: str) -> int:
    """The client says "unknown" of an encoding that is newer than itself; the contract's numbers end at 5."""
    return -1 if name == "unknown" else types_pb2.ImageFormat.Value(f"IMAGE_FORMAT_{name.upper()}")


def _floats_sha256(embedding: Embedding) -> str:
    return _sha256(embedding.array.astype("<f4").tobytes())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=round((seconds - whole) * 1e9))
