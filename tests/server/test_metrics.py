"""What Prometheus scrapes adds up to what the client did."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from grpc import StatusCode
from kandinsky_api.v1 import prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.errors import ServingError
from kandinsky_server.telemetry.metrics import ROWS, SECONDS, Metrics
from kandinsky_server.testing.running import RunningServer
from prometheus_client.parser import text_string_to_metric_families

from tests.support.raw import Raw, connected, good_requests, pair, rest, sampling

STAGES = ("prior", "decoder", "inpaint", "controlnet")


class Scrape:
    """The metrics at one moment, as Prometheus sees them."""

    def __init__(self, server: RunningServer) -> None:
        url = f"http://127.0.0.1:{server.lifecycle.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as response:
            text = response.read().decode()
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples.get((f"kandinsky_{name}", tuple(sorted(labels.items()))), 0.0)

    def sum(self, name: str) -> float:
        return sum(value for (sample, _), value in self.samples.items() if sample == f"kandinsky_{name}")


class Growth:
    """How much each metric has grown since it was made."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.before = Scrape(server)
        self.after = self.before

    def measure(self) -> Growth:
        """Scrapes once nothing runs any more: a call is counted just after its client has heard of its end."""
        while True:
            self.after = Scrape(self.server)
            if not self.after.sum("requests_in_flight"):
                return self
            time.sleep(0.01)

    def __call__(self, name: str, **labels: str) -> float:
        return self.after(name, **labels) - self.before(name, **labels)

    def sum(self, name: str) -> float:
        return self.after.sum(name) - self.before.sum(name)


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    """A server of its own: nobody else's requests are in its numbers."""
    with RunningServer(tiny_model) as running:
        yield running


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


def test_a_fresh_server_says_what_it_is_and_how_long_it_took(server: RunningServer) -> None:
    scrape = Scrape(server)
    (build,) = scrape.families["kandinsky_build_info"].samples
    assert {"server", "torch", "diffusers", "python", "device", "dtype"} <= build.labels.keys()
    assert (build.labels["device"], build.labels["dtype"]) == ("cpu", "fp32")
    for stage in STAGES:
        assert scrape("model_load_seconds", stage=stage) > 0
    assert scrape("queue_length") == 0


def test_memory_is_told(server: RunningServer) -> None:
    """The process's always, the device's where torch counts it."""
    scrape = Scrape(server)
    assert scrape.samples["process_resident_memory_bytes", ()] > 100e6
    assert scrape.families["kandinsky_device_memory_bytes"].samples == []


def test_a_cuda_devices_memory_is_read_at_every_scrape() -> None:
    metrics = Metrics()
    metrics.watch_device(torch.device("cuda", 0))
    tensor = torch.ones(1024, device="cuda") if torch.cuda.is_available() else None
    for kind in ("allocated", "reserved"):
        told = metrics.registry.get_sample_value("kandinsky_device_memory_bytes", {"kind": kind})
        assert told is not None
        assert told >= (0 if tensor is None else tensor.nbytes)


def test_a_hint_is_encoded_once_a_request(raw: Raw, server: RunningServer) -> None:
    growth = Growth(server)
    request = good_requests()["ControlNet"]
    request.sampling.MergeFrom(sampling(step_count=3, image_count=2, guidance_scale=4))
    assert raw.call("ControlNet", request).code == StatusCode.OK
    growth.measure()
    assert growth("batch_rows_sum", stage="controlnet") == 12
    assert growth("batch_rows_sum", stage="hint_encoder") == 1


def test_requests_results_and_steps_are_counted(raw: Raw, server: RunningServer) -> None:
    growth = Growth(server)
    decode = good_requests()["Decode"]
    decode.sampling.MergeFrom(sampling(step_count=3, image_count=2, width_px=128))
    prior = prior_pb2.PriorRequest(
        prompts=["a cat", "a dog"], sampling=pb.PriorSampling(step_count=4, seed=7)
    )
    assert raw.call("Decode", decode).code == StatusCode.OK
    assert raw.call("Prior", prior).code == StatusCode.OK
    assert raw.call("Generate", good_requests()["Generate"]).code == StatusCode.OK
    assert raw.call("GetServerInfo", server_pb2.GetServerInfoRequest()).code == StatusCode.OK
    growth.measure()

    for rpc in ("Decode", "Prior", "Generate", "GetServerInfo"):
        assert growth("requests_total", rpc=rpc, code="OK") == 1
        assert growth("request_seconds_count", rpc=rpc) == 1
    for rpc in ("Decode", "Prior", "Generate"):
        assert growth("first_event_seconds_count", rpc=rpc) == 1
        assert growth("queue_wait_seconds_count", rpc=rpc) == 1
        waited, took = growth("queue_wait_seconds_sum", rpc=rpc), growth("request_seconds_sum", rpc=rpc)
        assert 0 <= waited <= took
    assert growth("images_total", rpc="Decode") == 2
    assert growth("images_total", rpc="Generate") == 1
    assert growth("pixels_total", rpc="Decode") == 2 * 128 * 64
    assert growth("embeddings_total", rpc="Prior") == 2
    assert growth("embeddings_total", rpc="Generate") == 1
    assert growth("steps_total", stage="decoder") == 2 * 3 + 1
    assert growth("steps_total", stage="prior") == 2 * 4 + 2
    assert growth.sum("rejections_total") == 0
    assert growth.sum("cancellations_total") == 0


def test_network_calls_are_counted_by_their_rows(raw: Raw, server: RunningServer) -> None:
    growth, before = Growth(server), len(server.recorder.steps)
    decode = good_requests()["Decode"]
    decode.sampling.MergeFrom(sampling(step_count=4, image_count=3, seed=50))
    decode.embeddings.append(pair(1))
    assert raw.call("Decode", decode).code == StatusCode.OK
    growth.measure()
    reports = [report for report in server.recorder.steps[before:] if report.stage == "decoder"]
    assert growth("batch_rows_count", stage="decoder") == len(reports)
    assert growth("step_seconds_count", stage="decoder") == len(reports)
    # Six guided images of four steps: two rows each.
    assert growth("batch_rows_sum", stage="decoder") == sum(report.rows for report in reports) == 6 * 4 * 2
    assert growth("steps_total", stage="decoder") == 6 * 4
    # One request alone is in every call.
    assert growth("batch_requests_sum", stage="decoder") == len(reports)
    spent = sum(report.network_seconds for report in reports)
    assert growth("network_seconds_total", stage="decoder", backend="eager") == pytest.approx(spent)
    assert growth("step_seconds_sum", stage="decoder") == pytest.approx(spent)
    assert growth("engine_busy_seconds_total") >= spent


def test_cache_lookups_are_hits_or_misses(raw: Raw, server: RunningServer) -> None:
    growth = Growth(server)
    prior = prior_pb2.PriorRequest(
        prompts=["a cache"], sampling=pb.PriorSampling(step_count=2, seed=3, image_count=2)
    )
    first, second = raw.call("Prior", prior), raw.call("Prior", prior)
    assert [result.cached for result in first.embeddings + second.embeddings] == [False, False, True, True]
    interpolate = good_requests()["Interpolate"]
    interpolate.conditions[0].text = "a mixture"
    assert raw.call("Interpolate", interpolate).code == StatusCode.OK
    assert raw.call("Interpolate", interpolate).code == StatusCode.OK
    growth.measure()
    # Interpolate looks up its one text condition; the mixture itself is not kept.
    assert growth("prior_cache_lookups_total", result="miss") == 3
    assert growth("prior_cache_lookups_total", result="hit") == 3
    assert growth("steps_total", stage="prior") == 3 * 2


def test_refusals_are_counted_by_reason(raw: Raw, server: RunningServer) -> None:
    growth = Growth(server)
    requests = good_requests()
    requests["Decode"].sampling.step_count = 0
    requests["Img2Img"].image.data = b"no image"
    requests["Inpaint"].embeddings[0].positive.data = b"1234"
    requests["ControlNet"].embeddings[0].positive.prior_fingerprint = "another"
    for method in ("Decode", "Img2Img", "Inpaint", "ControlNet"):
        raw.call(method, requests[method])
    late = requests["Generate"]
    late.sampling.step_count = 1000
    late.sampling.image_count = 16
    assert raw.call("Generate", late, timeout=2).reason == "DEADLINE_UNREACHABLE"
    growth.measure()
    reasons = (
        "INVALID_FIELD",
        "INVALID_IMAGE",
        "INVALID_EMBEDDING",
        "FINGERPRINT_MISMATCH",
        "DEADLINE_UNREACHABLE",
    )
    assert [growth("rejections_total", reason=reason) for reason in reasons] == [1] * 5
    assert growth.sum("rejections_total") == 5
    assert growth("requests_total", rpc="Decode", code="INVALID_ARGUMENT") == 1
    assert growth("requests_total", rpc="ControlNet", code="FAILED_PRECONDITION") == 1
    assert growth("requests_total", rpc="Generate", code="RESOURCE_EXHAUSTED") == 1
    assert growth.sum("steps_total") == 0


def test_cancels_and_deadlines_are_told_apart(
    raw: Raw, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    growth = Growth(server)
    request = good_requests()["Decode"]
    request.sampling.step_count = 100
    held, call = threading.Event(), server.app.model.networks["decoder"].call

    def held_back(*inputs: Any) -> Any:
        held.wait(60)
        return call(*inputs)

    with monkeypatch.context() as patch:
        patch.setattr(server.app.model.networks["decoder"], "call", held_back)
        patch.setattr(server.app.model.cost, "measured", lambda _: False)  # so that any deadline is let in
        running = [raw.image_service.Decode(request), raw.image_service.Decode(request, timeout=2)]
        assert [next(iter(stream)).event.WhichOneof("kind") for stream in running] == ["queued", "queued"]
        assert Scrape(server)("queue_length") == 2
        assert Scrape(server)("requests_in_flight", rpc="Decode") == 2
        assert rest(running[1]).code == StatusCode.DEADLINE_EXCEEDED
        running[0].cancel()
        growth.measure()
        held.set()
    assert growth("cancellations_total", reason="CANCELLED") == 1
    assert growth("cancellations_total", reason="DEADLINE_EXCEEDED") == 1
    assert growth("requests_total", rpc="Decode", code="CANCELLED") == 1
    assert growth("requests_total", rpc="Decode", code="DEADLINE_EXCEEDED") == 1
    assert growth.after("queue_length") == 0


def reasons(kind: type[ServingError]) -> set[str]:
    """What clients can be told, over the whole tree of errors."""
    own = {kind.reason} if hasattr(kind, "reason") else set()
    return own.union(*map(reasons, kind.__subclasses__()))


def test_labels_are_few_and_never_the_clients_words(raw: Raw, server: RunningServer) -> None:
    path = "/kandinsky_api.v1.ImageService/Invented"
    unknown: grpc.UnaryUnaryMultiCallable[bytes, bytes] = raw.channel.unary_unary(path)
    for _ in range(3):
        raw.read(unknown, b"")
    raw.call(
        "Prior",
        prior_pb2.PriorRequest(prompts=["a secret"], sampling=pb.PriorSampling(step_count=0)),
        x_request_id="a-secret",
    )
    scrape = Scrape(server)
    codes = {code.name for code in StatusCode}
    bounds = {
        "rpc": {*good_requests(), "GetServerInfo", "Estimate"},
        "code": codes,
        "stage": set(server.app.model.networks),
        "backend": {"eager"},
        "reason": reasons(ServingError),
        "result": {"hit", "miss"},
        "le": {str(float(bound)) for bound in (*SECONDS, *ROWS)} | {"+Inf"},
    }
    for (name, labels), _ in scrape.samples.items():
        if not name.startswith("kandinsky_build"):
            for label, value in labels:
                assert value in bounds[label], (name, label, value)
    assert len(scrape.samples) < 2000
