"""grpc.health.v1: Check and Watch, overall, for each service and for each stage, through a server's whole life."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from kandinsky_api.v1 import server_pb2
from kandinsky_server.testing.running import RunningServer, StartingServer

from tests.support.raw import Raw, connected, good_requests, only, rest

SERVICES = (
    "kandinsky_api.v1.PriorService",
    "kandinsky_api.v1.ImageService",
    "kandinsky_api.v1.ServerService",
)
STAGES = ("prior", "decoder", "inpaint", "controlnet")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Watcher:
    """Follows one service's health from a thread; ``seen`` is what the server has told."""

    def __init__(self, raw: Raw, service: str) -> None:
        self.seen: list[int] = []
        self._news = threading.Condition()
        self._call = raw.health.Watch(health_pb2.HealthCheckRequest(service=service))
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        try:
            for response in self._call:
                with self._news:
                    self.seen.append(response.status)
                    self._news.notify_all()
        except Exception:
            return

    def wait_for(self, *statuses: int) -> bool:
        with self._news:
            return self._news.wait_for(lambda: self.seen == list(statuses), timeout=30)


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


@pytest.mark.parametrize("service", ["", *SERVICES, *STAGES])
def test_a_server_with_every_stage_serves_everything(raw: Raw, service: str) -> None:
    assert raw.serving(service) == "SERVING"


def test_all_is_listed_at_once(raw: Raw) -> None:
    everything = health_pb2.HealthListRequest()  # type: ignore[attr-defined]  # newer than the types
    listed = raw.health.List(everything, timeout=30).statuses
    assert {name: listed[name].status for name in listed} == dict.fromkeys(("", *SERVICES, *STAGES), SERVING)


def test_an_unknown_service_is_not_found_by_check_and_unknown_to_watch(raw: Raw) -> None:
    request = health_pb2.HealthCheckRequest(service="nonsense")
    assert raw.read(raw.health.Check, request).code == StatusCode.NOT_FOUND
    watch = raw.health.Watch(request)
    assert next(iter(watch)).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_health_follows_the_server_from_start_to_drain(tiny_model: Path, tmp_path: Path) -> None:
    model = only(tmp_path / "model", tiny_model, "prior")
    with StartingServer(model, max_batch_rows=2) as server, connected(server.target) as raw:
        watched = {name: Watcher(raw, name) for name in ("", *SERVICES, *STAGES)}
        info = SERVICES[2]
        for name, watcher in watched.items():
            assert watcher.wait_for(SERVING if name == info else NOT_SERVING), name

        answer = raw.call("Prior", good_requests()["Prior"])
        assert (answer.code, answer.reason) == (StatusCode.UNAVAILABLE, "STARTING")
        assert answer.retry_seconds
        assert raw.call("Estimate", server_pb2.EstimateRequest()).reason == "STARTING"
        status = raw.server_service.GetServerInfo(server_pb2.GetServerInfoRequest())
        assert status.status == "starting"
        assert not any(stage.loaded for stage in status.stages)

        server.load()
        for name in ("", SERVICES[0], "prior"):
            assert watched[name].wait_for(NOT_SERVING, SERVING), name
        assert raw.call("Prior", good_requests()["Prior"]).code == StatusCode.OK

        server.run(server.lifecycle.drain())
        for name in ("", SERVICES[0], "prior"):
            assert watched[name].wait_for(NOT_SERVING, SERVING, NOT_SERVING), name
        assert watched[info].wait_for(SERVING, NOT_SERVING)
        assert watched["decoder"].wait_for(NOT_SERVING)


def test_draining_turns_new_work_away_and_lets_running_work_finish(tiny_model: Path, tmp_path: Path) -> None:
    model = only(tmp_path / "model", tiny_model, "decoder")
    with RunningServer(model, max_batch_rows=2) as server, connected(server.target) as raw:
        request = good_requests()["Decode"]
        request.sampling.step_count = 40
        running = iter(raw.image_service.Decode(request))
        assert next(running).event.WhichOneof("kind") == "queued"
        watcher = Watcher(raw, "")
        assert watcher.wait_for(SERVING)
        draining = asyncio.run_coroutine_threadsafe(server.lifecycle.drain(), server._loop)
        assert watcher.wait_for(SERVING, NOT_SERVING)

        refused = raw.call("Decode", good_requests()["Decode"])
        assert (refused.code, refused.reason, refused.domain) == (
            StatusCode.UNAVAILABLE,
            "DRAINING",
            "kandinsky-grpc.github.io",
        )
        assert refused.retry_seconds
        assert refused.request_id
        assert [event.event.WhichOneof("kind") for event in running][-1] == "completed"
        draining.result(60)


def test_work_that_outlasts_the_drain_limit_is_told_to_try_elsewhere(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = only(tmp_path / "model", tiny_model, "decoder")
    with RunningServer(model, max_batch_rows=2, drain_seconds=0) as server, connected(server.target) as raw:
        request = good_requests()["Decode"]
        request.sampling.step_count = 1000
        running = raw.image_service.Decode(request)
        assert next(iter(running)).event.WhichOneof("kind") == "queued"
        server.run(server.lifecycle.drain())
        answer = rest(running)
        assert (answer.code, answer.reason) == (StatusCode.UNAVAILABLE, "DRAINING")
        assert answer.retry_seconds
