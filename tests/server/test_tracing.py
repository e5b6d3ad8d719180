"""Traces, as a collector on the other end of OTLP receives them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.message import Message
from grpc import StatusCode
from kandinsky_api.v1 import prior_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.settings import Settings, load_settings, telling
from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually
from tests.support.raw import Raw, connected, good_requests

pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc", reason="the extra otel is not installed")

from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2,
    trace_service_pb2_grpc,
)

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SPAN_ERROR = 2


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps every span it is sent, in memory."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()

    def Export(self, request: Any, context: Any) -> Message:
        for resource in request.resource_spans:
            self.services.add(attributes(resource.resource)["service.name"])
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()


def attributes(what: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in what.attributes}


class Traced:
    """A server, its collector, and the spans of one request."""

    def __init__(self, server: RunningServer, collector: Collector, raw: Raw) -> None:
        self.server, self.collector, self.raw = server, collector, raw

    def spans(self, request_id: str) -> tuple[Any, list[Any]]:
        """The request's span, and its children by their start."""
        while True:  # a call is recorded just after its client has heard of its end
            assert self.server.app.tracing
            self.server.app.tracing.flush()
            found = [s for s in self.collector.spans if attributes(s).get("request_id") == request_id]
            if found:
                break
        (span,) = found
        children = [s for s in self.collector.spans if s.parent_span_id == span.span_id]
        return span, sorted(children, key=lambda child: child.start_time_unix_nano)


@pytest.fixture(scope="module")
def traced(tiny_model: Path) -> Iterator[Traced]:
    collector, receiver = Collector(), grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]  # generated without types
        collector, receiver
    )
    port = receiver.add_insecure_port("127.0.0.1:0")
    receiver.start()
    stages: dict[str, Any] = {stage: str(tiny_model / stage) for stage in ("prior", "decoder")}
    with (
        RunningServer(**stages, otlp_endpoint=f"http://127.0.0.1:{port}") as server,
        connected(server.target) as raw,
    ):
        yield Traced(server, collector, raw)
    receiver.stop(0)


def test_a_request_is_a_span_of_the_callers_trace_with_its_phases_as_children(traced: Traced) -> None:
    answer = traced.raw.call(
        "Generate",
        good_requests()["Generate"],
        x_request_id="traced-1",
        traceparent=f"00-{TRACE}-{CALLER}-01",
    )
    assert answer.code == StatusCode.OK
    span, children = traced.spans("traced-1")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
    assert span.name == "Generate"
    assert attributes(span) == {
        "rpc": "Generate",
        "code": "OK",
        "request_id": "traced-1",
        "images": 1,
        "embeddings": 1,
    }
    assert span.status.code == 0
    names = [child.name for child in children]
    assert names == ["queue", "denoise", "queue", "denoise", "queue", "decode", "encode"]
    stages = [attributes(child).get("stage") for child in children]
    assert stages == ["prior", "prior", "decoder", "decoder", "decoder", "decoder", None]
    for child in children:
        assert child.trace_id == span.trace_id
        assert span.start_time_unix_nano <= child.start_time_unix_nano <= child.end_time_unix_nano
        assert child.end_time_unix_nano <= span.end_time_unix_nano
    assert traced.collector.services == {"kandinsky-server"}


def test_without_a_traceparent_or_with_a_broken_one_a_trace_begins_here(traced: Traced) -> None:
    request = prior_pb2.PriorRequest(prompts=["a cat"], sampling=pb.PriorSampling(step_count=2))
    traced.raw.call("Prior", request, x_request_id="alone")
    traced.raw.call("Prior", request, x_request_id="broken", traceparent="00-zz-1")
    (alone, _), (broken, _) = traced.spans("alone"), traced.spans("broken")
    assert alone.parent_span_id == broken.parent_span_id == b""
    assert alone.trace_id != broken.trace_id


def test_the_log_line_of_a_request_names_its_span(traced: Traced) -> None:
    request = prior_pb2.PriorRequest(prompts=["a cat"], sampling=pb.PriorSampling(step_count=2))
    with structlog.testing.capture_logs() as lines:
        traced.raw.call("Prior", request, x_request_id="logged", traceparent=f"00-{TRACE}-{CALLER}-01")
        span, _ = traced.spans("logged")
        eventually(lambda: "logged" in {line.get("request_id") for line in list(lines)})
    (line,) = [line for line in lines if line.get("request_id") == "logged"]
    assert (line["trace_id"], line["span_id"]) == (TRACE, span.span_id.hex())


def test_a_caller_that_does_not_sample_is_not_traced(traced: Traced) -> None:
    request = prior_pb2.PriorRequest(prompts=["a cat"], sampling=pb.PriorSampling(step_count=2))
    traced.raw.call("Prior", request, x_request_id="unseen", traceparent=f"00-{TRACE}-{CALLER}-00")
    traced.raw.call("Prior", request, x_request_id="seen")
    traced.spans("seen")
    assert "unseen" not in {attributes(span).get("request_id") for span in traced.collector.spans}


def test_a_refusal_is_told_and_is_no_error_of_the_server(traced: Traced) -> None:
    traced.raw.call("Prior", prior_pb2.PriorRequest(), x_request_id="refused")
    span, children = traced.spans("refused")
    assert (attributes(span)["code"], attributes(span)["reason"]) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert span.status.code == 0
    assert children == []


def test_a_failure_is_an_error(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(traced.server.app.model.networks["prior"], "call", broken)
        request = prior_pb2.PriorRequest(prompts=["a failure"], sampling=pb.PriorSampling(step_count=2))
        answer = traced.raw.call("Prior", request, x_request_id="failed")
    assert answer.code == StatusCode.INTERNAL
    span, children = traced.spans("failed")
    assert span.status.code == SPAN_ERROR
    assert attributes(span)["code"] == "INTERNAL"
    assert [child.name for child in children][:2] == ["queue", "denoise"]


def test_it_is_off_by_default() -> None:
    assert Settings().otlp_endpoint is None


def test_an_endpoint_must_be_a_url(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(["--otlp-endpoint", "collector:4317"])
    assert "otlp_endpoint: must be a URL such as http://127.0.0.1:4317" in capsys.readouterr().err


def test_without_the_packages_the_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return real(name, package)

    monkeypatch.setattr(telling, "find_spec", without)
    with pytest.raises(SystemExit) as exit_:
        load_settings(["--otlp-endpoint", "http://127.0.0.1:4317"])
    assert exit_.value.code == 2
    assert "pip install 'kandinsky-server[otel]'" in capsys.readouterr().err
