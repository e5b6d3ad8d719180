"""The contract's methods and messages, by name."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from kandinsky_api.v1 import errors_pb2, events_pb2, image_pb2, prior_pb2, server_pb2, types_pb2

# Importing a file's stubs is what makes its messages known to the pool.
FILES = (types_pb2, events_pb2, errors_pb2, prior_pb2, image_pb2, server_pb2, health_pb2)
PACKAGE = "kandinsky_api.v1"

REQUESTS = {
    "prior": "PriorRequest",
    "interpolate": "InterpolateRequest",
    "decode": "DecodeRequest",
    "img2img": "Img2ImgRequest",
    "inpaint": "InpaintRequest",
    "controlnet": "ControlNetRequest",
    "generate": "GenerateRequest",
    "estimate": "EstimateRequest",
}
"""The request message of each call that a case may make with one."""


@dataclass(frozen=True)
class Method:
    """One RPC.

    Args:
        name: Its full name, such as "kandinsky_api.v1.ImageService.Decode".
        request: The class of its request.
        response: The class of its response, or of each in a stream.
    """

    name: str
    request: type[Message]
    response: type[Message]


def method_of(path: str) -> Method | None:
    """Returns the method of an HTTP/2 path such as "/kandinsky_api.v1.ImageService/Decode", if there is one."""
    name = path.removeprefix("/").replace("/", ".")
    try:
        found = descriptor_pool.Default().FindMethodByName(name)
    except KeyError:
        return None
    request, response = (
        message_factory.GetMessageClass(kind) for kind in (found.input_type, found.output_type)
    )
    return Method(name, request, response)


def message_class(name: str) -> type[Message]:
    """Returns a class of the contract by its name, such as "DecodeRequest".

    Raises:
        KeyError: The contract has no such message.
    """
    descriptor = descriptor_pool.Default().FindMessageTypeByName(f"{PACKAGE}.{name}")
    return message_factory.GetMessageClass(descriptor)


def parse(name: str, fields: dict[str, Any]) -> Message:
    """Makes a message from protobuf's JSON form; raises ParseError."""
    return ParseDict(fields, message_class(name)())


def to_dict(message: Message) -> dict[str, Any]:
    """Returns protobuf's JSON form, with the contract's names of fields."""
    return MessageToDict(message, preserving_proto_field_name=True)


def to_base64(message: Message) -> str:
    """Returns the serialized message in base64."""
    return base64.b64encode(message.SerializeToString()).decode()
