"""Server reflection under both of its names, v1 and v1alpha: one protocol, two packages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

from kandinsky_server.rpc.symbols import symbols

V1ALPHA: str = reflection.SERVICE_NAME
V1 = "grpc.reflection.v1.ServerReflection"
METHOD = "ServerReflectionInfo"


class Servicer(reflection.aio.ReflectionServicer):
    """grpcio-reflection's, which also tells the file of a method."""

    def __init__(self, services: Iterable[str]) -> None:
        names = tuple(services)
        super().__init__(names)
        pool = descriptor_pool.Default()
        self._files = symbols(pool.FindServiceByName(name).file for name in names)

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        file = self._files.get(fully_qualified_name)
        if file is None:
            return super()._file_containing_symbol(request, fully_qualified_name)  # type: ignore[misc]
        return self._file_by_filename(request, file.name)  # type: ignore[attr-defined]


def add_reflection(services: Iterable[str], server: grpc.aio.Server) -> None:
    """Lets clients list ``services`` and learn all that is in their files. grpcio-reflection offers v1alpha only."""
    _describe_v1()
    servicer = Servicer((*services, V1ALPHA, V1))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1ALPHA, V1):
        server.add_registered_method_handlers(name, {METHOD: handler})


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
