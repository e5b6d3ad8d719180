"""Which RPC takes which request, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2

EmbeddingRequest = prior_pb2.PriorRequest | prior_pb2.InterpolateRequest
ImageRequest = (
    image_pb2.DecodeRequest
    | image_pb2.Img2ImgRequest
    | image_pb2.InpaintRequest
    | image_pb2.ControlNetRequest
    | image_pb2.GenerateRequest
)
Request = EmbeddingRequest | ImageRequest


@dataclass(frozen=True)
class Rpc:
    """One method of the wire.

    Args:
        path: Its full name, "/package.Service/Method".
        parse: Reads a response message.
    """

    path: str
    parse: Callable[[bytes], Any]

    @property
    def name(self) -> str:
        """The method's name, such as "Decode"."""
        return self.path.rpartition("/")[2]


def serialize(request: Message) -> bytes:
    """Writes any request message."""
    return request.SerializeToString()


_PRIOR = "/kandinsky_api.v1.PriorService"
_IMAGE = "/kandinsky_api.v1.ImageService"
_SERVER = "/kandinsky_api.v1.ServerService"

STREAMS: dict[type[Request], Rpc] = {
    prior_pb2.PriorRequest: Rpc(f"{_PRIOR}/Prior", prior_pb2.PriorResponse.FromString),
    prior_pb2.InterpolateRequest: Rpc(f"{_PRIOR}/Interpolate", prior_pb2.InterpolateResponse.FromString),
    image_pb2.DecodeRequest: Rpc(f"{_IMAGE}/Decode", image_pb2.DecodeResponse.FromString),
    image_pb2.Img2ImgRequest: Rpc(f"{_IMAGE}/Img2Img", image_pb2.Img2ImgResponse.FromString),
    image_pb2.InpaintRequest: Rpc(f"{_IMAGE}/Inpaint", image_pb2.InpaintResponse.FromString),
    image_pb2.ControlNetRequest: Rpc(f"{_IMAGE}/ControlNet", image_pb2.ControlNetResponse.FromString),
    image_pb2.GenerateRequest: Rpc(f"{_IMAGE}/Generate", image_pb2.GenerateResponse.FromString),
}
INFO = Rpc(f"{_SERVER}/GetServerInfo", server_pb2.GetServerInfoResponse.FromString)
INFO_REQUEST = server_pb2.GetServerInfoRequest()
ESTIMATE = Rpc(f"{_SERVER}/Estimate", server_pb2.EstimateResponse.FromString)
# grpc.health.v1, whose stubs are a package of their own. On the wire its request is one string and its
# response one enum, in field 1: what these two well-known types are.
HEALTH = Rpc("/grpc.health.v1.Health/Check", Int32Value.FromString)


def health_request(service: str) -> StringValue:
    """Asks for the health of one service, such as "kandinsky_api.v1.ImageService"; "" is the whole server."""
    return StringValue(value=service)


def estimate_request(request: Request) -> server_pb2.EstimateRequest:
    """Wraps a request, to ask what it would cost."""
    field: dict[str, Any] = {STREAMS[type(request)].name.lower(): request}
    return server_pb2.EstimateRequest(**field)
