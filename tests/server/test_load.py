"""What a server says of its load: to Prometheus, in trailers and in streams of reports."""

from __future__ import annotations

import struct
import time
import urllib.request
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from kandinsky_api.v1 import image_pb2
from kandinsky_server.rpc.orca import OrcaLoadReport, OrcaLoadReportRequest
from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually
from tests.support.raw import connected, only, pair, sampling
from tests.support.wire import END_STREAM, GOAWAY, HEADERS, SETTINGS, Wire

TRUE_BINARY = struct.pack(">HI", 0xFE03, 1)
"""gRPC's own setting: binary metadata may come as it is."""

QUEUED, WAITING, RUNNING = (
    f"kandinsky.{name}" for name in ("queued_work_seconds", "requests_waiting", "requests_running")
)


@pytest.fixture(scope="module")
def decoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    model = only(tmp_path_factory.mktemp("load"), tiny_model, "decoder")
    with RunningServer(model, max_batch_rows=2, target_queue_seconds=4.0) as server:
        yield server


def work(steps: int) -> image_pb2.DecodeRequest:
    return image_pb2.DecodeRequest(embeddings=[pair()], sampling=sampling(step_count=steps))


def reported(
    server: RunningServer, request: image_pb2.DecodeRequest, **headers: str
) -> OrcaLoadReport | None:
    """The report in a call's trailers, read from the wire: gRPC's own clients keep it for their balancing."""
    with Wire(server.target) as wire:
        wire.send(SETTINGS, 0, 0, TRUE_BINARY)
        wire.ask(1, "/kandinsky_api.v1.ImageService/Decode", request, **headers)
        for kind, flags, payload in wire.frames():
            if kind == HEADERS and flags & END_STREAM:
                _, found, rest = payload.partition(b"endpoint-load-metrics-bin")
                return OrcaLoadReport.FromString(_binary(rest)) if found else None
    raise AssertionError("the call did not end")


def _binary(field: bytes) -> bytes:
    """A field as HPACK has it: its length, from 127 on in two bytes; a zero, since it is not base64; its bytes."""
    start, length = (1, field[0]) if field[0] < 127 else (2, 127 + field[1])
    assert field[start] == 0
    return field[start + 1 : start + length]


def metric(server: RunningServer, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.lifecycle.metrics_port}/metrics") as page:
        lines = page.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"kandinsky_{name} ")).split()[1])


def test_who_asks_gets_a_report_in_the_trailer_and_nobody_else(decoder: RunningServer) -> None:
    assert reported(decoder, work(2)) is None
    report = reported(decoder, work(2), endpoint_load_metrics_format="BIN")
    assert report is not None
    assert report.rps_fractional > 0
    assert report.eps == 0
    assert set(report.named_metrics) == {QUEUED, WAITING, RUNNING}


def test_a_refusal_carries_a_report_as_well(decoder: RunningServer) -> None:
    report = reported(decoder, image_pb2.DecodeRequest(), endpoint_load_metrics_format="BIN")
    assert report is not None


@pytest.mark.slow
def test_gauges_and_reports_tell_seconds_of_queued_work(decoder: RunningServer) -> None:
    with connected(decoder.target) as raw:
        list(raw.image_service.Decode(work(50)))  # step times are measured
        calls = [raw.image_service.Decode(work(1000)) for _ in range(3)]
        eventually(lambda: metric(decoder, "requests_running") == 1)
        eventually(lambda: metric(decoder, "requests_waiting") == 2)
        queued = metric(decoder, "queued_work_seconds")
        began = time.monotonic()
        assert queued > 0
        stream = raw.channel.unary_stream(
            "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics",
            OrcaLoadReportRequest.SerializeToString,
            OrcaLoadReport.FromString,
        )(OrcaLoadReportRequest(report_interval={"nanos": 1}))
        first, second = next(stream), next(stream)
        assert time.monotonic() - began >= 0.9  # no quicker than once a second, whatever was asked for
        assert first.named_metrics[RUNNING] == 1
        assert first.named_metrics[WAITING] == 2
        # A mean that follows what is queued, over a target of 4 s here; 0.05 without work.
        assert 0.05 < first.application_utilization < 0.05 + queued / 4.0
        assert first.application_utilization < second.application_utilization
        assert second.named_metrics[RUNNING] == 1
        assert any(each.named_metrics[QUEUED] < queued for each in islice(stream, 60))
        for call in calls:
            call.cancel()
        eventually(lambda: metric(decoder, "queued_work_seconds") == 0)
        stream.cancel()


@pytest.mark.slow
def test_an_old_connection_is_asked_to_go_and_its_calls_end_in_peace(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = only(tmp_path / "decoder", tiny_model, "decoder")
    with (
        RunningServer(model, max_connection_age_seconds=1.0) as server,
        Wire(server.target) as wire,
    ):
        wire.ask(1, "/kandinsky_api.v1.ImageService/Decode", work(600))
        kinds = [kind for kind, *_ in wire.frames()]
    assert GOAWAY in kinds
    assert kinds.index(GOAWAY) < len(kinds) - 1 - kinds[::-1].index(HEADERS)  # the trailers came after it


def test_without_an_age_connections_stay(decoder: RunningServer) -> None:
    with Wire(decoder.target) as wire:
        wire.ask(1, "/kandinsky_api.v1.ImageService/Decode", work(2))
        kinds = []
        for kind, flags, _ in wire.frames():
            kinds.append(kind)
            if kind == HEADERS and flags & END_STREAM:
                break
    assert GOAWAY not in kinds
