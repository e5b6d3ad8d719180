"""Writes kandinsky.binpb, the contract and the details of its errors, from which Envoy makes JSON.

`python deploy/envoy/descriptors.py`, with the client installed. `buf build` of `proto/` would lack the errors' details.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2
from kandinsky_api.v1 import errors_pb2, events_pb2, image_pb2, prior_pb2, server_pb2, types_pb2

OUTPUT = Path(__file__).with_name("kandinsky.binpb")
MODULES = (errors_pb2, types_pb2, events_pb2, prior_pb2, image_pb2, server_pb2, error_details_pb2)


def descriptors() -> FileDescriptorSet:
    """Every file, each after those that it imports."""
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for imported in file.dependencies:
            add(imported)
        files.setdefault(file.name, file)

    for module in MODULES:
        add(module.DESCRIPTOR)
    written = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(written.file.add())
    return written


if __name__ == "__main__":
    OUTPUT.write_bytes(descriptors().SerializeToString(deterministic=True))
