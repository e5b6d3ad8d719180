"""Every name that a set of .proto files defines, and the file that defines it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto


def symbols(files: Iterable[FileDescriptor]) -> dict[str, FileDescriptor]:
    """By full name: services, methods, messages, fields, oneofs, enums and values of ``files`` and of what they import.

    protobuf's own pool does not find methods.
    """
    found: dict[str, FileDescriptor] = {}
    for file in _with_imports(files).values():
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        found |= {f"{proto.package}.{name}": file for name in _names(proto)}
    return found


def _with_imports(files: Iterable[FileDescriptor]) -> dict[str, FileDescriptor]:
    found: dict[str, FileDescriptor] = {}
    for file in files:
        found |= {file.name: file, **_with_imports(file.dependencies)}
    return found


def _names(file: FileDescriptorProto) -> Iterator[str]:
    for service in file.service:
        yield service.name
        yield from (f"{service.name}.{method.name}" for method in service.method)
    for message in file.message_type:
        yield from _names_of_message(message)
    for enum in file.enum_type:
        yield from _names_of_enum(enum)
    yield from (extension.name for extension in file.extension)


def _names_of_message(message: DescriptorProto) -> Iterator[str]:
    yield message.name
    inner = [field.name for field in (*message.field, *message.extension)]
    inner += [oneof.name for oneof in message.oneof_decl]
    for nested in message.nested_type:
        inner += _names_of_message(nested)
    for enum in message.enum_type:
        inner += _names_of_enum(enum)
    yield from (f"{message.name}.{name}" for name in inner)


def _names_of_enum(enum: EnumDescriptorProto) -> Iterator[str]:
    """Values stand beside their enum, as they do in C++."""
    yield enum.name
    yield from (value.name for value in enum.value)
