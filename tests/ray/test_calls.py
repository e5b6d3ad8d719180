"""The replicas' way to the handlers, without Ray: the interceptor and the services answer as they do on a port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import server_pb2
from kandinsky_server.app import App
from kandinsky_server.lifecycle import Lifecycle
from kandinsky_server.ray.calls import Calls
from kandinsky_server.ray.context import TIMEOUT_KEY
from kandinsky_server.ray.replica import Replica
from kandinsky_server.ray.settings import settings_of
from kandinsky_server.rpc.registration import add_services

from tests.support.requests import decode

DECODE = "/kandinsky_api.v1.ImageService/Decode"
ESTIMATE = "/kandinsky_api.v1.ServerService/Estimate"
INFO = "/kandinsky_api.v1.ServerService/GetServerInfo"

ENDLESS = 1000


class Outer:
    """As much of a RayServegRPCContext as there is to use."""

    def __init__(self, **metadata: str) -> None:
        self.metadata = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        self.code: Any = None
        self.details = ""
        self.trailers: list[tuple[str, Any]] = []

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return self.metadata

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def set_code(self, code: StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, trailers: list[tuple[str, Any]]) -> None:
        self.trailers = trailers

    @property
    def reason(self) -> str:
        """ErrorInfo's, from the trailer."""
        details = dict(self.trailers)["grpc-status-details-bin"]
        assert len(details) < 4096
        return "".join(name for name in REASONS if name.encode() in details)


REASONS = ("INVALID_FIELD", "QUEUE_FULL", "STARTING", "DEADLINE_EXCEEDED", "UNAUTHENTICATED", "DEVICE_HUNG")


@pytest.fixture
async def app(tiny_model: Path) -> AsyncIterator[App]:
    arguments = {
        "decoder": str(tiny_model / "decoder"),
        "backend": "eager",
        "device": "cpu",
        "threads": 1,
        "queue_size": 2,
    }
    lifecycle = Lifecycle(App(settings_of(arguments | {"default_share": 1.0})))
    await lifecycle.load()
    yield lifecycle.app
    await lifecycle.stop()


def calls_of(app: App) -> Any:
    calls = Calls(app.interceptor())
    add_services(calls, app.handlers)  # type: ignore[arg-type]
    return calls


async def test_a_stream_comes_as_it_is_made(app: App) -> None:
    outer = Outer(x_request_id="mine")
    kinds = [
        response.event.WhichOneof("kind") async for response in calls_of(app).stream(DECODE, decode(), outer)
    ]
    assert (kinds[0], kinds[-1], outer.code) == ("queued", "completed", None)
    assert outer.trailers == [("x-request-id", "mine")]


async def test_one_response_comes_alone(app: App) -> None:
    calls = calls_of(app)
    info = await calls.one(INFO, server_pb2.GetServerInfoRequest(), Outer())
    assert info.instance_id
    estimate = await calls.one(ESTIMATE, server_pb2.EstimateRequest(decode=decode()), Outer())
    assert estimate.trajectory_count == 1


async def test_an_error_is_a_status_and_an_empty_response(app: App) -> None:
    outer = Outer()
    responses = [response async for response in calls_of(app).stream(DECODE, decode(step_count=-1), outer)]
    assert [response.ByteSize() for response in responses] == [0]
    assert (outer.code, outer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


async def test_an_error_of_a_call_with_one_response(app: App) -> None:
    outer = Outer()
    assert not (await calls_of(app).one(ESTIMATE, server_pb2.EstimateRequest(), outer)).ByteSize()
    assert (outer.code, outer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


@pytest.mark.parametrize("ending", ["closed", "cancelled"])
async def test_who_leaves_frees_its_places(app: App, ending: str) -> None:
    calls = calls_of(app)
    begun = asyncio.Event()

    async def read() -> None:
        request = decode(step_count=ENDLESS, image_count=2)
        async with aclosing(calls.stream(DECODE, request, Outer())) as responses:
            async for _ in responses:
                begun.set()
                if ending == "closed":
                    return

    reading = asyncio.create_task(read())
    await begun.wait()
    if ending == "cancelled":
        assert app.admission.length == 2
        reading.cancel()
    await asyncio.wait({reading})
    assert app.admission.length == 0


async def test_a_full_queue_is_told(app: App) -> None:
    calls, outer = calls_of(app), Outer()
    async with aclosing(calls.stream(DECODE, decode(step_count=ENDLESS, image_count=2), Outer())) as first:
        await anext(first)
        assert [response async for response in calls.stream(DECODE, decode(1), outer)]
    assert (outer.code, outer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")


async def test_the_time_in_the_metadata_ends_a_request(app: App) -> None:
    outer = Outer(**{TIMEOUT_KEY: "0.5"})
    async for _ in calls_of(app).stream(DECODE, decode(step_count=ENDLESS), outer):
        pass
    assert outer.code in (StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED)


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", ""])
async def test_a_time_that_is_none_is_refused(app: App, value: str) -> None:
    outer = Outer(**{TIMEOUT_KEY: value})
    async for _ in calls_of(app).stream(DECODE, decode(), outer):
        pass
    assert (outer.code, outer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert TIMEOUT_KEY in outer.details


async def test_tokens_are_asked_for(tiny_model: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[web]\ntoken = "web-token-0123456789"\n')
    made = App(settings_of({"model": str(tiny_model), "device": "cpu", "tokens_file": str(tokens)}))
    outer = Outer()
    async for _ in calls_of(made).stream(DECODE, decode(), outer):
        pass
    assert (outer.code, outer.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_a_hang_is_told_to_serve_in_words_that_can_be_pickled(app: App) -> None:
    replica = Replica.__new__(Replica)
    replica.app = app
    replica.check_health()
    app.engine._on_hang("a step of decoder")
    with pytest.raises(RuntimeError, match="this server's device hangs"):
        replica.check_health()
    outer = Outer()
    async for _ in calls_of(app).stream(DECODE, decode(), outer):
        pass
    assert (outer.code, outer.reason) == (StatusCode.UNAVAILABLE, "DEVICE_HUNG")


@pytest.mark.parametrize("name", ["port", "tls_key", "max_connections", "check"])
def test_settings_that_serve_has_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"args: {name} would do nothing"):
        settings_of({name: 1})


def test_metrics_are_served_where_a_port_is_given() -> None:
    assert settings_of({}).metrics_port is None
    assert settings_of({"metrics_port": 0}).metrics_port == 0
