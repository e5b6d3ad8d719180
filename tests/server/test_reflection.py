"""Server reflection under both names: tools such as grpcurl can list services and fetch their messages."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2

from tests.harness import RunningServer

V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"
SERVICES = {
    "grpc.health.v1.Health",
    V1,
    V1ALPHA,
    "kandinsky_api.v1.ImageService",
    "kandinsky_api.v1.PriorService",
    "kandinsky_api.v1.ServerService",
}


class Reflection:
    """One version of the protocol; both have the same messages."""

    def __init__(self, channel: grpc.Channel, name: str) -> None:
        self._ask = channel.stream_stream(
            f"/{name}/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )

    def ask(self, **question: str) -> reflection_pb2.ServerReflectionResponse:
        return next(iter(self._ask(iter([reflection_pb2.ServerReflectionRequest(**question)]))))

    def pool(self, symbol: str) -> descriptor_pool.DescriptorPool:
        """All that a client can know of a symbol, from the server's answer alone."""
        answer = self.ask(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto
        files = {file.name: file for file in map(descriptor_pb2.FileDescriptorProto.FromString, answer)}
        pool = descriptor_pool.DescriptorPool()

        def add(name: str) -> None:
            """Dependencies first, as the pool wants them."""
            if file := files.pop(name, None):
                for dependency in file.dependency:
                    add(dependency)
                pool.Add(file)

        for name in list(files):
            add(name)
        return pool


@pytest.fixture(params=[V1, V1ALPHA])
def reflection(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Reflection]:
    with grpc.insecure_channel(server.target) as channel:
        yield Reflection(channel, request.param)


def test_it_lists_every_service(reflection: Reflection) -> None:
    listed = reflection.ask(list_services="").list_services_response.service
    assert {service.name for service in listed} == SERVICES


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_listed_service_can_be_described(reflection: Reflection, name: str) -> None:
    assert reflection.pool(name).FindServiceByName(name).methods


def test_a_client_can_learn_the_contract_from_it(reflection: Reflection) -> None:
    service = reflection.pool("kandinsky_api.v1.ImageService").FindServiceByName(
        "kandinsky_api.v1.ImageService"
    )
    assert [method.name for method in service.methods] == [
        "Decode",
        "Img2Img",
        "Inpaint",
        "ControlNet",
        "Generate",
    ]
    assert (
        service.methods_by_name["Decode"].input_type.fields_by_name["sampling"].message_type.name
        == "Sampling"
    )


def test_an_unknown_symbol_is_not_found(reflection: Reflection) -> None:
    answer = reflection.ask(file_containing_symbol="kandinsky_api.v1.Nonsense")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
