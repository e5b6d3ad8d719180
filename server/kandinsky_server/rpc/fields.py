"""Reads the fields that requests share: unset ones get their default, bad ones a violation."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

from kandinsky_api.v1 import image_pb2, prior_pb2
from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.diffusion.decoder import DecoderSampling
from kandinsky_server.diffusion.schedule import StepCounter
from kandinsky_server.families.family import SamplingDefaults
from kandinsky_server.families.stages import DecoderStage
from kandinsky_server.rpc.limits import Defaults, Limits
from kandinsky_server.rpc.violations import Violations

MAX_SEED = 2**63 - 1
DRAWN_SEEDS = 2**32
MAX_GUIDANCE = 100.0

Seeded = pb.PriorSampling | image_pb2.Sampling
Strong = (
    prior_pb2.PriorRequest
    | image_pb2.Img2ImgRequest
    | image_pb2.ControlNetRequest
    | image_pb2.GenerateRequest
)


def read_prompts(found: Violations, prompts: Sequence[str], limits: Limits, places: int = 1) -> None:
    """Checks the number of prompts, whose results take so many ``places`` each, and their lengths."""
    read_sources(found, "prompts", prompts, limits, places)
    for place, prompt in enumerate(prompts[: limits.prompt_count]):
        read_prompt(found, f"prompts[{place}]", prompt, limits)


def read_prompt(found: Violations, field: str, prompt: str, limits: Limits) -> None:
    """Checks one prompt's length."""
    if len(prompt) > limits.prompt_length:
        found.add(field, f"must have at most {limits.prompt_length} characters, not {len(prompt)}")


def read_sources(
    found: Violations, field: str, sources: Sequence[object], limits: Limits, places: int = 1
) -> None:
    """Checks the number of prompts or embeddings: each makes one result at least, which takes so many ``places``."""
    most = min(limits.prompt_count, limits.image_count)
    found.integer(field, len(sources), 1, most, min(most, limits.places // places), "hold")


def read_count(found: Violations, message: Seeded, sources: int, limits: Limits, places: int) -> int:
    """Results for each of ``sources`` prompts or embeddings, all of which take so many ``places`` a result.

    Too many sources are noted elsewhere.
    """
    count = message.image_count if message.HasField("image_count") else Defaults.image_count
    most = max(1, limits.image_count // max(1, sources))
    return found.integer("sampling.image_count", count, 1, most, min(most, limits.places // max(1, places)))


def read_seed(
    found: Violations, message: Seeded, results: int, limits: Limits, *, name: str = "sampling"
) -> int:
    """The seed of the first of ``results`` that the message, of this ``name``, has; drawn when unset."""
    if not message.HasField("seed"):
        return secrets.randbelow(DRAWN_SEEDS)
    # When the number of results has to change, what is advised is right for any that may come.
    most = limits.image_count if found.found else results
    return found.integer(f"{name}.seed", message.seed, 0, MAX_SEED - max(0, most - 1))


def read_steps(
    found: Violations, field: str, message: Seeded, default: int, counter: StepCounter, limits: Limits
) -> int:
    """Denoising steps that a stage's scheduler takes."""
    value = message.step_count if message.HasField("step_count") else default
    return found.integer(field, value, counter.least, counter.most(limits.step_count))


def read_guidance(found: Violations, field: str, message: Seeded, default: float) -> float:
    """A guidance scale."""
    value = message.guidance_scale if message.HasField("guidance_scale") else default
    return found.number(field, value, 0, MAX_GUIDANCE)


def read_strength(found: Violations, message: Strong, step_count: int, default: float) -> float:
    """A strength that leaves at least one of ``step_count`` steps."""
    value = message.strength if message.HasField("strength") else default
    if found.number("strength", value, 0, 1, above=True) == value and int(step_count * value) < 1:
        least = least_strength(step_count)
        found.add("strength", f"times {step_count} steps leaves none; raise it to at least {least:g}")
    return value


def least_strength(step_count: int) -> float:
    """The least strength of few digits that leaves one of ``step_count`` steps."""
    scale: int = 10 ** max(3, len(str(step_count)))
    digits = -(-scale // step_count)
    return next(d / scale for d in (digits, digits + 1) if int(step_count * (d / scale)) >= 1)


def read_sampling(
    found: Violations,
    message: image_pb2.Sampling,
    stage: DecoderStage,
    results: int,
    strong: Strong | None,
    limits: Limits,
    defaults: SamplingDefaults,
) -> DecoderSampling:
    """How ``results`` images are sampled; ``strong`` holds the strength when there is a start image."""
    width, height = _size(found, message, stage, limits.pixel_count)
    counter = stage.noise_scheduler().count
    steps = read_steps(found, "sampling.step_count", message, defaults.step_count, counter, limits)
    return DecoderSampling(
        seed=read_seed(found, message, results, limits),
        step_count=steps,
        guidance_scale=read_guidance(found, "sampling.guidance_scale", message, defaults.guidance_scale),
        width=width,
        height=height,
        strength=None if strong is None else read_strength(found, strong, steps, defaults.strength),
    )


def _size(
    found: Violations, message: image_pb2.Sampling, stage: DecoderStage, pixel_count: int
) -> tuple[int, int]:
    """Width and height in pixels; what is noted names the nearest size that this server takes."""
    step, native = stage.size_step, stage.native_size
    width = message.width_px if message.HasField("width_px") else native
    height = message.height_px if message.HasField("height_px") else native
    size, nearest = (width, height), nearest_size(width, height, step, pixel_count)
    for name, value, near in zip(("width_px", "height_px"), size, nearest, strict=True):
        if value < step or value % step:
            why = f"must be a positive multiple of {step}, not {value}"
        elif value != near:
            why = f"makes an image of {width}x{height}, which has over {pixel_count} pixels"
        else:
            continue
        found.add(f"sampling.{name}", f"{why}; the nearest is {near}")
    return nearest


def nearest_size(width: int, height: int, step: int, pixel_count: int) -> tuple[int, int]:
    """Multiples of ``step`` near ``width`` and ``height`` that have at most ``pixel_count`` pixels, or one step each."""
    sides = [max(step, round(side / step) * step) for side in (width, height)]
    shorter, longer = sorted(sides)
    if shorter**2 > pixel_count:  # no longer side fits beside it
        shrink = math.sqrt(pixel_count / (shorter * longer))
        shorter, longer = (max(step, int(side * shrink / step) * step) for side in (shorter, longer))
    longer = max(step, min(longer, pixel_count // shorter // step * step))
    return (longer, shorter) if sides[0] >= sides[1] else (shorter, longer)
