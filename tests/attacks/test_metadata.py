"""Metadata that is no text, or that nobody should see: it neither ends the server nor reaches its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode
from kandinsky_api.v1 import server_pb2
from kandinsky_server.testing.running import RunningServer

from tests.support.process import Process
from tests.support.raw import connected
from tests.support.wire import HEADERS, RESET, Wire

INFO = "/kandinsky_api.v1.ServerService/GetServerInfo"
TOKEN = "0123456789abcdef"
SECRET = b"S3CR3T"

NAMES = [
    b"/\xff/\xfe",
    b"/a/" + SECRET + b"\x80",
    b"\xc3\x28",
    b"/kandinsky_api.v1.PriorService/Pri\xe9r",
    b"/",
    b"/a/b",
]
"""Methods that the server does not have, most of them no UTF-8."""

VALUES: dict[str, bytes] = {
    "authorization": b"Bearer \xff" + SECRET,
    "x_request_id": SECRET + b"\xff",
    "x_request_id ": b"\x1b[31m" + SECRET,
    "traceparent": SECRET + b"\xfe",
    "tracestate": SECRET + b"=\xff," + SECRET,
    "user_agent": SECRET + b"\xff",
    ":authority": SECRET + b"\xff",
    "grpc_timeout": SECRET,
    "grpc_encoding": SECRET,
    "grpc_previous_rpc_attempts": SECRET,
    "grpc_trace_bin": b"!" + SECRET,
    "x_note_bin": b"\xff" + SECRET,
    "x_note": SECRET + b"\xff",
    "content_type": SECRET,
    "te": SECRET,
    ":method": SECRET,
    ":scheme": SECRET,
}


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(prior=str(tiny_model / "prior"), metrics_port=None) as running:
        yield running


def end(target: str, path: str | bytes, **headers: str | bytes) -> None:
    """Makes a call and returns when the server has answered or refused it."""
    with Wire(target) as wire:
        wire.ask(1, path, Empty(), **headers)
        assert any(kind in (HEADERS, RESET) for kind, _, _ in wire.frames())


@pytest.mark.parametrize("name", NAMES)
def test_a_method_whose_name_is_no_text_is_unknown_and_nothing_more(
    server: RunningServer, name: bytes
) -> None:
    end(server.target, name)
    with connected(server.target) as raw:
        assert raw.serving() == "SERVING"
        unknown = raw.read(raw.channel.unary_unary("/a/b"), b"")
        assert (unknown.code, unknown.message) == (StatusCode.UNIMPLEMENTED, "Method not found!")


@pytest.mark.slow
@pytest.mark.parametrize("otlp", [(), ("--otlp-endpoint=http://127.0.0.1:9",)], ids=["", "traced"])
def test_no_metadata_reaches_the_log(tiny_model: Path, tmp_path: Path, otlp: tuple[str, ...]) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[gallery]\ntoken = "{TOKEN}"\n')
    flags = (f"--prior={tiny_model / 'prior'}", f"--tokens-file={tokens}", "--log-format=json", *otlp)
    with Process(tiny_model, "--model=null", *flags, OTEL_EXPORTER_OTLP_TIMEOUT="1") as server:
        target = server.target("serving")
        for key, value in VALUES.items():
            bearer: dict[str, Any] = {} if key == "authorization" else {"authorization": f"Bearer {TOKEN}"}
            for path in (INFO, "/kandinsky_api.v1.PriorService/Prior", "/a/" + SECRET.decode()):
                end(target, path, **{**bearer, key.strip(): value})
        trace = f"00-{'1' * 32}-{'2' * 16}-01"
        with connected(target) as raw:
            answer = raw.call(
                "GetServerInfo",
                server_pb2.GetServerInfoRequest(),
                authorization=f"Bearer {TOKEN}",
                traceparent=trace,
                tracestate=f"{SECRET.decode()},a={SECRET.decode()},a=b",
            )
        assert answer.code == StatusCode.OK
        server.terminate()
        server.wait()
    text = "\n".join(server.errors)
    assert SECRET.decode() not in text
    assert TOKEN not in text
    # Each line is one of ours, with nothing of gRPC's own in between.
    events = [json.loads(line)["event"] for line in server.errors]
    assert events.count("request") > len(VALUES)
