"""Reads the fields that requests share: unset ones get their default, bad ones a violation."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from google.protobuf.message import Message
from kandinsky_api.v1 import image_pb2, prior_pb2

from kandinsky_server.diffusion.checkpoint import DecoderStage
from kandinsky_server.diffusion.decoder import DecoderSampling
from kandinsky_server.rpc.limits import Defaults, Limits
from kandinsky_server.rpc.violations import Violations

MAX_SEED = 2**63 - 1
DRAWN_SEEDS = 2**32
MAX_GUIDANCE = 100.0

Seeded = prior_pb2.PriorRequest | prior_pb2.InterpolateRequest | image_pb2.Sampling
Strong = (
    prior_pb2.PriorRequest
    | image_pb2.Img2ImgRequest
    | image_pb2.ControlNetRequest
    | image_pb2.GenerateRequest
)


def read_prompts(found: Violations, prompts: Sequence[str], limits: Limits) -> None:
    """Checks the number of prompts, and when that is right their lengths."""
    count = len(prompts)
    if found.integer("prompts", count, 1, limits.prompt_count) != count:
        return
    for place, prompt in enumerate(prompts):
        read_prompt(found, f"prompts[{place}]", prompt, limits)


def read_prompt(found: Violations, field: str, prompt: str, limits: Limits) -> None:
    """Checks one prompt's length."""
    if len(prompt) > limits.prompt_length:
        found.add(field, f"must have at most {limits.prompt_length} characters, not {len(prompt)}")


def read_count(found: Violations, prefix: str, message: Seeded, sources: int, limits: Limits) -> int:
    """Results for each of ``sources`` prompts or embeddings."""
    count = message.image_count if message.HasField("image_count") else 1
    if sources > limits.image_count:
        found.add(f"{prefix}image_count", f"a request may ask for {limits.image_count} results in all")
        return 1
    return found.integer(f"{prefix}image_count", count, 1, limits.image_count // max(1, sources))


def read_seed(found: Violations, prefix: str, message: Seeded, results: int) -> int:
    """The seed of the first of ``results``; drawn when unset."""
    if not message.HasField("seed"):
        return secrets.randbelow(DRAWN_SEEDS)
    return found.integer(f"{prefix}seed", message.seed, 0, MAX_SEED - max(0, results - 1))


def read_steps(found: Violations, field: str, message: Message, default: int, limits: Limits) -> int:
    """A number of denoising steps; ``field`` may have a prefix, which is not part of the field's name."""
    name = field.rpartition(".")[2]
    value: int = getattr(message, name) if message.HasField(name) else default
    return found.integer(field, value, 1, limits.step_count)


def read_guidance(found: Violations, field: str, message: Message, default: float) -> float:
    """A guidance scale, likewise."""
    name = field.rpartition(".")[2]
    value: float = getattr(message, name) if message.HasField(name) else default
    return found.number(field, value, 0, MAX_GUIDANCE)


def read_strength(found: Violations, message: Strong, step_count: int) -> float:
    """A strength that leaves at least one of ``step_count`` steps."""
    value = message.strength if message.HasField("strength") else Defaults.strength
    if found.number("strength", value, 0, 1, above=True) == value and int(step_count * value) < 1:
        found.add(
            "strength", f"times {step_count} steps leaves none; raise it to at least {1 / step_count:.3g}"
        )
    return value


def read_sampling(
    found: Violations,
    message: image_pb2.Sampling,
    stage: DecoderStage,
    results: int,
    strong: Strong | None,
    limits: Limits,
) -> DecoderSampling:
    """How ``results`` images are sampled; ``strong`` holds the strength when there is a start image."""
    width = _side(found, "width_px", message, stage)
    height = _side(found, "height_px", message, stage)
    if width * height > limits.pixel_count:
        found.add("sampling.width_px", f"times height_px must be at most {limits.pixel_count} pixels")
    steps = read_steps(found, "sampling.step_count", message, Defaults.step_count, limits)
    return DecoderSampling(
        seed=read_seed(found, "sampling.", message, results),
        step_count=steps,
        guidance_scale=read_guidance(found, "sampling.guidance_scale", message, Defaults.guidance_scale),
        width=width,
        height=height,
        strength=None if strong is None else read_strength(found, strong, steps),
    )


def _side(found: Violations, name: str, message: Message, stage: DecoderStage) -> int:
    value: int = getattr(message, name) if message.HasField(name) else stage.native_size
    step = stage.size_step
    if value >= step and value % step == 0:
        return value
    nearest = max(step, round(value / step) * step)
    found.add(
        f"sampling.{name}", f"must be a positive multiple of {step}, not {value}; the nearest is {nearest}"
    )
    return step
