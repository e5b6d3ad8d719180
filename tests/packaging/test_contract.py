"""The contract that was released is the one that stands, and a break of it is seen."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kandinsky_api.v1 import errors_pb2, events_pb2, image_pb2, prior_pb2, server_pb2, types_pb2
from kandinsky_server import errors

from tests.packaging.test_versions import ROOT

BREAKS = {
    "a number that changes": (r"(message Queued \{.*?string request_id = )4;", r"\g<1>7;"),
    "a field that goes": (r"(message Receipt \{.*?)  // The seed of this very result[^;]*;\n", r"\1"),
    "a type that changes": (r"(message Completed \{.*?)int64 seed", r"\1uint64 seed"),
    "a reason that goes": (r"  // INTERNAL: anything else;[^;]*[^=]*= 24;\n", ""),
    "a package of another name": (r"option java_package = \"io", 'option java_package = "com'),
}
BREAKING = 100
"""Buf's exit code."""


@pytest.fixture
def proto(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "proto", tmp_path / "proto"))


def broken(proto: Path) -> tuple[int, str]:
    """Buf's exit code and words, by the newest contract that was released."""
    released = sorted((ROOT / "proto" / "released").glob("*.binpb"))[-1]
    buf = Path(sys.executable).with_name("buf")
    done = subprocess.run([buf, "breaking", "--against", released], cwd=proto, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_released_contract_is_not_broken(proto: Path) -> None:
    assert broken(proto) == (0, "")


@pytest.mark.parametrize("break_", BREAKS)
def test_a_break_is_seen(proto: Path, break_: str) -> None:
    pattern, instead = BREAKS[break_]
    changed = 0
    for file in proto.rglob("*.proto"):
        text, count = re.subn(pattern, instead, file.read_text(), count=1, flags=re.S)
        file.write_text(text)
        changed += count
    code, words = broken(proto)
    assert changed
    assert code == BREAKING, words


def test_what_is_new_breaks_nothing(proto: Path) -> None:
    file = proto / "kandinsky_api" / "v1" / "events.proto"
    kind = "    Completed completed = 7;\n"
    more = "    // A kind of event that today's clients pass over.\n    Progress later = 9;\n"
    file.write_text(file.read_text().replace(kind, kind + more))
    assert broken(proto) == (0, "")


def kinds_of_errors(kind: type[errors.ServingError] = errors.ServingError) -> list[type[errors.ServingError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in kinds_of_errors(child))]


def test_the_contract_names_every_reason() -> None:
    named = {name.removeprefix("ERROR_REASON_") for name, _ in errors_pb2.ErrorReason.items()}
    given = {kind.reason for kind in kinds_of_errors() if hasattr(kind, "reason")}
    assert named - {"UNSPECIFIED"} == given
    without = {kind.__name__ for kind in kinds_of_errors() if not hasattr(kind, "reason")}
    assert without == {"ServingError", "InvalidRequest", "FailedPrecondition", "RetryLater", "Overloaded"}


def test_every_file_has_the_options_of_every_language() -> None:
    files = (errors_pb2, events_pb2, image_pb2, prior_pb2, server_pb2, types_pb2)
    assert len(list((ROOT / "proto").rglob("*.proto"))) == len(files)
    for file in files:
        options = file.DESCRIPTOR.GetOptions()
        assert options.go_package.startswith("github.com/kandinsky-grpc/kandinsky-grpc/clients/go/")
        assert options.java_package == "io.github.kandinskygrpc.api.v1"
        assert options.java_multiple_files
        assert options.csharp_namespace == "KandinskyGrpc.Api.V1"
        assert options.objc_class_prefix == "KNG"
        assert options.php_namespace == "KandinskyGrpc\\Api\\V1"
        assert options.ruby_package == "KandinskyGrpc::Api::V1"
