"""Server reflection under both names: tools such as grpcurl can list services and fetch their messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2
from kandinsky_server.testing.running import RunningServer

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

    def ask(self, **question: Any) -> reflection_pb2.ServerReflectionResponse:
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
    sampling = service.methods_by_name["Decode"].input_type.fields_by_name["sampling"].message_type
    assert sampling is not None
    assert sampling.name == "Sampling"


def names(descriptor: Any) -> Iterator[str]:
    """The full names of everything within a message, an enum, a service or a file, and its own; values have none."""
    yield getattr(descriptor, "full_name", "")
    kinds: tuple[str, ...] = ("methods", "fields", "oneofs", "nested_types", "enum_types", "values")
    kinds += ("message_types_by_name", "enum_types_by_name", "services_by_name")
    for kind in kinds:
        inner = getattr(descriptor, kind, ())
        for each in inner.values() if hasattr(inner, "values") else inner:
            yield from names(each)


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_symbol_of_every_file_is_found_in_that_file(reflection: Reflection, service: str) -> None:
    file = reflection.pool(service).FindServiceByName(service).file
    found = {name for name in names(file) if name}
    assert f"{service}.{next(iter(file.services_by_name[service.rpartition('.')[2]].methods)).name}" in found
    for name in found:
        answer = reflection.ask(file_containing_symbol=name).file_descriptor_response.file_descriptor_proto
        files = [descriptor_pb2.FileDescriptorProto.FromString(each).name for each in answer]
        assert files[:1] == [file.name], name


@pytest.mark.parametrize(
    "value", ["kandinsky_api.v1.IMAGE_FORMAT_PNG", "grpc.health.v1.HealthCheckResponse.SERVING"]
)
def test_values_of_enums_are_found_beside_their_enums(reflection: Reflection, value: str) -> None:
    assert reflection.ask(file_containing_symbol=value).file_descriptor_response.file_descriptor_proto


def test_a_file_is_told_by_its_name_too(reflection: Reflection) -> None:
    answer = reflection.ask(file_by_filename="kandinsky_api/v1/types.proto").file_descriptor_response
    file = descriptor_pb2.FileDescriptorProto.FromString(answer.file_descriptor_proto[0])
    assert file.name == "kandinsky_api/v1/types.proto"


def test_an_unknown_symbol_is_not_found(reflection: Reflection) -> None:
    for symbol in ("kandinsky_api.v1.Nonsense", "kandinsky_api.v1.ImageService.Nonsense", "", "."):
        answer = reflection.ask(file_containing_symbol=symbol)
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
