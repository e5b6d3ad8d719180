"""What to ask less of when a request needs more places in the queue than its client may ever hold."""

from __future__ import annotations

from kandinsky_server.errors import Violation
from kandinsky_server.flows.requests import (
    GenerateRequest,
    ImageRequest,
    InterpolateRequest,
    PriorRequest,
    Request,
)


def ask_less(request: Request, allowed: int) -> list[Violation]:
    """The fields to change, and to what, so that ``request`` needs at most ``allowed`` places, which are 1 or more."""
    match request:
        case PriorRequest():
            return _fewer("", request.image_count, "prompts", len(request.prompts), 1, allowed)
        case ImageRequest():
            return _fewer("sampling.", request.image_count, "embeddings", len(request.embeddings), 1, allowed)
        case InterpolateRequest():
            return _fewer_texts(request, allowed)
        case GenerateRequest():
            prior = request.prior
            if allowed < 2:
                advice = "an image takes two: call Prior, and then an RPC that takes its embeddings"
                return [Violation("prompts", advice)]
            return _fewer("sampling.", prior.image_count, "prompts", len(prior.prompts), 2, allowed)


def _fewer(prefix: str, count: int, field: str, sources: int, places: int, allowed: int) -> list[Violation]:
    """Each of ``sources`` makes ``count`` results, which take so many ``places`` each."""
    most = allowed // (sources * places)
    if most:
        return [Violation(f"{prefix}image_count", f"must be 1 to {most}")]
    found = [Violation(f"{prefix}image_count", "must be 1 to 1")] if count > 1 else []
    return [*found, Violation(field, f"send 1 to {allowed // places} at once")]


def _fewer_texts(request: InterpolateRequest, allowed: int) -> list[Violation]:
    """Texts take places, pictures and embeddings take none."""
    runs = sum(isinstance(condition, str) for condition in request.conditions)
    runs += bool(request.negative_prompt) or request.negative_prior_prompt is not None
    if runs <= allowed:
        return [Violation("image_count", f"must be 1 to {allowed // runs}")]
    found = [Violation("image_count", "must be 1 to 1")] if request.image_count > 1 else []
    return [*found, Violation("conditions", "make embeddings of the texts with Prior, and mix those")]
