"""Server reflection under both of its names, v1 and v1alpha: one protocol, two packages."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1ALPHA: str = reflection.SERVICE_NAME
V1 = "grpc.reflection.v1.ServerReflection"
METHOD = "ServerReflectionInfo"


def add_reflection(services: Iterable[str], server: grpc.aio.Server) -> None:
    """Lets clients list ``services`` and their messages. grpcio-reflection itself offers v1alpha only."""
    _describe_v1()
    names = (*services, V1ALPHA, V1)
    reflection.enable_server_reflection(names, server)
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_registered_method_handlers(V1, {METHOD: handler})


def _describe_v1() -> None:
    """Makes v1 known to the descriptor pool, so that reflection can describe itself; once a process."""
    pool = descriptor_pool.Default()
    try:
        pool.FindServiceByName(V1)
    except KeyError:
        alpha = FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
        text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
        pool.AddSerializedFile(text_format.Parse(text, FileDescriptorProto()).SerializeToString())
