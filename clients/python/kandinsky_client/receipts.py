"""What made a result, so that it can be made again."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, Parse, ParseError
from kandinsky_api.v1 import types_pb2


@dataclass(frozen=True)
class Timings:
    """Where the time of a result went, in seconds.

    Args:
        queued_seconds: From arrival to the first step.
        denoising_seconds: From the first step to the last.
        total_seconds: From arrival to the result.
    """

    queued_seconds: float = 0.0
    denoising_seconds: float = 0.0
    total_seconds: float = 0.0

    @classmethod
    def from_message(cls, message: types_pb2.Timings) -> Timings:
        """Reads the wire's form."""
        return cls(seconds(message.queued), seconds(message.denoising), seconds(message.total))


_NOTHING: tuple[Any, ...] = (None, "", 0, False, (), {})
_OPTIONAL = (
    "strength",
    "prompt",
    "negative_prompt",
    "negative_prior_prompt",
)
_MAPS: dict[str, type[int] | type[str]] = {"versions": str, "condition_texts": int, "input_digests": str}
"""Fields that are maps, and what their keys are."""

_PRIOR = {
    "prior_seed": "seed",
    "prior_step_count": "step_count",
    "prior_guidance_scale": "guidance_scale",
}
"""Fields of `Receipt` that are fields of its message's `prior_sampling`."""


@dataclass(frozen=True, repr=False)
class Receipt:
    """The receipt of one result; fields as in the message of that name, with those of `prior_sampling` among them.

    Args:
        rpc: The RPC, such as "Decode".
        seed: The seed of this very result: asking for one result with this seed gives it again.
        step_count: The denoising steps asked for.
        guidance_scale: The guidance scale.
        strength: The strength; None for results that did not start from an image.
        width_px: The width; 0 for embeddings.
        height_px: The height; 0 for embeddings.
        prompt: The prompt; None for results made without one.
        negative_prompt: The negative prompt; None where there was none, which is another than "".
        scheduler: The diffusers scheduler class.
        stage: The stage that made it.
        fingerprint: The fingerprint of that stage.
        backend: The backend that ran the network.
        dtype: "fp32", "fp16" or "bf16".
        versions: Versions of the server, torch and diffusers.
        timings: How long it took.
        paste_original: Whether the kept pixels were pasted back, for Inpaint.
        weights: The weights of the conditions, for Interpolate.
        prior_seed: The seed of the embedding, for the images of Generate; None elsewhere.
        prior_step_count: The denoising steps of the prior, likewise.
        prior_guidance_scale: Its guidance scale, likewise.
        negative_prior_prompt: The negative prompt of each text's prior run, for Interpolate.
        condition_texts: The texts among the conditions of Interpolate, by their place.
        input_digests: The SHA-256, in hexadecimal digits, of each picture and embedding that it was made from, by the
            request's field, such as "image" or "embeddings[0].positive": of the bytes as they were sent.
    """

    rpc: str = ""
    seed: int = 0
    step_count: int = 0
    guidance_scale: float = 0.0
    strength: float | None = None
    width_px: int = 0
    height_px: int = 0
    prompt: str | None = None
    negative_prompt: str | None = None
    scheduler: str = ""
    stage: str = ""
    fingerprint: str = ""
    backend: str = ""
    dtype: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Timings = Timings()
    paste_original: bool = False
    weights: tuple[float, ...] = ()
    prior_seed: int | None = None
    prior_step_count: int | None = None
    prior_guidance_scale: float | None = None
    negative_prior_prompt: str | None = None
    condition_texts: Mapping[int, str] = field(default_factory=dict)
    input_digests: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """What was set, in a line: long texts are cut, versions and timings left out."""
        short = reprlib.Repr()
        short.maxstring = 60
        said = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("versions", "timings")}
        shown = (
            f"{name}={short.repr(value)}"
            for name, value in said.items()
            if name == "seed" or value not in _NOTHING
        )
        return f"Receipt({', '.join(shown)})"

    @classmethod
    def from_message(cls, message: types_pb2.Receipt) -> Receipt:
        """Reads the wire's form."""
        given = {field.name for field, _ in message.ListFields()}
        converted: dict[str, Any] = {
            **{name: getattr(message, name) if name in given else None for name in _OPTIONAL},
            **_prior_fields(message),
            "condition_texts": dict(message.condition_texts),
            "input_digests": dict(message.input_digests),
            "versions": dict(message.versions),
            "timings": Timings.from_message(message.timings),
            "weights": tuple(message.weights),
        }
        plain = {f.name: getattr(message, f.name) for f in fields(cls) if f.name not in converted}
        return cls(**plain, **converted)

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """Reads protobuf's JSON form, as PNGs and embedding files carry it; unknown fields are ignored.

        Raises:
            ValueError: `text` is not that.
        """
        try:
            return cls.from_message(Parse(text, types_pb2.Receipt(), ignore_unknown_fields=True))
        except ParseError as error:
            raise ValueError(f"not a receipt: {error}") from error

    def to_message(self) -> types_pb2.Receipt:
        """Returns the wire's form."""
        converted: dict[str, Any] = {
            "timings": types_pb2.Timings(
                queued=_duration(self.timings.queued_seconds),
                denoising=_duration(self.timings.denoising_seconds),
                total=_duration(self.timings.total_seconds),
            )
        }
        sampling = {
            name: value for field, name in _PRIOR.items() if (value := getattr(self, field)) is not None
        }
        if sampling:
            converted["prior_sampling"] = types_pb2.PriorSampling(**sampling)
        done = (*converted, *_PRIOR)
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in done}
        return types_pb2.Receipt(**plain, **converted)

    def to_json(self) -> str:
        """Returns protobuf's JSON form, with the field names of the contract."""
        return json.dumps(self.to_dict())

    def to_dict(self) -> dict[str, object]:
        """Returns protobuf's JSON form as plain objects. Maps are sorted by key: protobuf's order is one of chance."""
        found = MessageToDict(self.to_message(), preserving_proto_field_name=True)
        return {
            name: _sorted(value, _MAPS[name]) if name in _MAPS else value for name, value in found.items()
        }


def _sorted(value: dict[str, object], key: type[int] | type[str]) -> dict[str, object]:
    return dict(sorted(value.items(), key=lambda item: key(item[0])))


def _prior_fields(message: types_pb2.Receipt) -> dict[str, Any]:
    given = {field.name: value for field, value in message.prior_sampling.ListFields()}
    return {field: given.get(name) for field, name in _PRIOR.items()}


def seconds(duration: Duration) -> float:
    """Returns a Duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def _duration(value: float) -> Duration:
    whole = int(value)
    return Duration(seconds=whole, nanos=round((value - whole) * 1e9))
