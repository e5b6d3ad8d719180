"""A protoc plugin for Python's gRPC stubs: grpcio-tools has their generator inside its own protoc only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet


def generate(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """The ``_pb2_grpc.py`` of every file asked for."""
    response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    with TemporaryDirectory() as name:
        folder = Path(name)
        described, made = folder / "files.binpb", folder / "made"
        described.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        made.mkdir()
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={described}"]
        subprocess.run([*protoc, f"--grpc_python_out={made}", *request.file_to_generate], check=True)
        for path in sorted(made.rglob("*.py")):
            response.file.add(name=str(path.relative_to(made)), content=path.read_text())
    return response


if __name__ == "__main__":
    asked = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(asked).SerializeToString())
