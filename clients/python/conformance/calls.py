"""From a case's keys to the client's own arguments."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_client import ClientOptions, Embedding, EmbeddingPair, Tls, load_embeddings

REQUESTS: dict[str, type[Message]] = {
    "prior": prior_pb2.PriorRequest,
    "interpolate": prior_pb2.InterpolateRequest,
    "decode": image_pb2.DecodeRequest,
    "img2img": image_pb2.Img2ImgRequest,
    "inpaint": image_pb2.InpaintRequest,
    "controlnet": image_pb2.ControlNetRequest,
    "generate": image_pb2.GenerateRequest,
}
REQUIRED = {"prior": ("prompts",), "generate": ("prompts",), "interpolate": ("conditions", "weights")}


def client_options(case: Mapping[str, Any]) -> ClientOptions:
    """Returns how the case's client speaks to its server."""
    options: ClientOptions = {}
    if "timeout_seconds" in case:
        options["timeout"] = math.inf if case["timeout_seconds"] == "inf" else case["timeout_seconds"]
    if "retries" in case:
        options["retries"] = case["retries"]
    if "token" in case:
        options["token"] = case["token"]
    if "metadata" in case:
        options["metadata"] = list(case["metadata"].items())
    if "tls" in case:
        files = case["tls"]
        options["tls"] = Tls(files.get("ca"), files.get("certificate"), files.get("key")) if files else True
    return options


def arguments(case: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of one of the seven calls."""
    if case["call"] == "embed_image":
        return {"conditions": [base64.b64decode(case["image"])], "weights": [1.0]}
    request = REQUESTS[case["call"]].FromString(base64.b64decode(case["request"]))
    given = of_request(case["call"], request)
    if "embeddings_file" in case:
        given["embeddings"] = [*given["embeddings"], *load_embeddings(case["embeddings_file"])]
    return given


def estimated(case: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the call that `estimate` asks about, and its arguments."""
    asked = server_pb2.EstimateRequest.FromString(base64.b64decode(case["request"]))
    call = asked.WhichOneof("request")
    assert call
    return call, of_request(call, getattr(asked, call))


def of_request(call: str, request: Message) -> dict[str, Any]:
    """Returns a request message as the arguments that make it."""
    given: dict[str, Any] = {name: [] for name in REQUIRED.get(call, ("embeddings",))}
    given |= {"image": None} if call in ("img2img", "inpaint") else {}
    given |= {"mask": None} if call == "inpaint" else {}
    for field, value in request.ListFields():
        match field.name:
            case "sampling" | "output" | "options":
                given |= _fields(value)
            case "prior_sampling":
                given |= {f"prior_{name}": item for name, item in _fields(value).items()}
            case "embeddings":
                given["embeddings"] = [EmbeddingPair.from_message(pair) for pair in value]
            case "image" | "mask" | "hint" | "depth_from":
                given[field.name] = value.data
            case "conditions":
                given["conditions"] = [_condition(condition) for condition in value]
            case "weights":
                given["weights"] = [list(vector.values) for vector in value]
            case "prompts":
                given["prompts"] = list(value)
            case _:
                given[field.name] = value
    return given


def _fields(message: Message) -> dict[str, Any]:
    """Names values of enums as the client does: IMAGE_FORMAT_RAW_RGB8 is "raw_rgb8"."""
    found = {}
    for field, value in message.ListFields():
        if field.enum_type:
            prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
            value = field.enum_type.values_by_number[value].name.removeprefix(prefix).lower()
        found[field.name] = value
    return found


def _condition(condition: prior_pb2.Condition) -> str | bytes | Embedding:
    if condition.HasField("image"):
        return condition.image.data
    if condition.HasField("embedding"):
        return Embedding.from_message(condition.embedding)
    return condition.text
