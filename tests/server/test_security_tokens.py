"""Bearer tokens: who gets in, to what, how much of the queue, and that a changed file counts."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import grpc
import pytest
import structlog
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_client import AuthenticationError, AuthorizationError, InvalidRequestError, OverloadedError
from kandinsky_server.security.tokens import Rpc, TokenFile
from kandinsky_server.testing.running import RunningServer

from tests.server.test_reflection import V1, V1ALPHA, Reflection
from tests.support import raw
from tests.support.patience import eventually

GALLERY, LIMITED, NEW = "gallery-token-0123456789", "limited-token-0123456789", "new-token-0123456789ab"
FILE = f"""
[gallery]
token = "{GALLERY}"

[limited]
token = "{LIMITED}"
share = 0.25
rpcs = ["Prior", "GetServerInfo"]
"""
QUEUE_SIZE = 8
MESSAGE_BYTES = 100_000
INFO = server_pb2.GetServerInfoRequest()


@pytest.fixture(scope="module")
def tokens_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    file.write_text(FILE)
    return file


@pytest.fixture(scope="module")
def guarded(
    tiny_model: Path, tokens_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    model = raw.only(tmp_path_factory.mktemp("model"), tiny_model, "prior")
    limits = {"queue_size": QUEUE_SIZE, "max_message_bytes": MESSAGE_BYTES, "max_streams": 2}
    with RunningServer(model, metrics_port=None, tokens_file=tokens_file, **limits) as running:
        yield running


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def test_a_token_opens_the_door(guarded: RunningServer) -> None:
    with guarded.client(token=GALLERY) as client:
        assert client.prior("a red circle", step_count=2, seed=1)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        bearer("not-the-token-0123456789"),
        bearer(GALLERY[:-1]),
        bearer(GALLERY + "x"),
        bearer(""),
        (("authorization", GALLERY),),
        (("authorization", f"Basic {GALLERY}"),),
        (*bearer(GALLERY), *bearer(GALLERY)),
    ],
    ids=["none", "wrong", "short", "long", "empty", "bare", "basic", "two"],
)
def test_without_the_right_token_nothing_opens(
    guarded: RunningServer, metadata: tuple[tuple[str, str], ...]
) -> None:
    with raw.connected(guarded.target) as stubs:
        for stub, request in (
            (stubs.server_service.GetServerInfo, INFO),
            (stubs.prior_service.Prior, prior_pb2.PriorRequest(prompts=["a"])),
            (stubs.image_service.Decode, image_pb2.DecodeRequest()),
        ):
            answer = stubs.read(stub, request, metadata=metadata, timeout=30)
            assert answer.code == StatusCode.UNAUTHENTICATED
            assert "token" in answer.message
            assert answer.request_id
            assert GALLERY not in answer.message


def test_a_strangers_message_is_not_read(guarded: RunningServer) -> None:
    """Else its size would be what is wrong with it."""
    huge = prior_pb2.PriorRequest(prompts=["a" * 2 * MESSAGE_BYTES])
    with raw.connected(guarded.target) as stubs:
        assert stubs.call("Prior", huge).code == StatusCode.UNAUTHENTICATED
        known = stubs.call("Prior", huge, authorization=f"Bearer {GALLERY}")
        assert known.code == StatusCode.RESOURCE_EXHAUSTED


def test_the_client_raises_its_own_errors(guarded: RunningServer) -> None:
    with guarded.client() as nobody, pytest.raises(AuthenticationError):
        nobody.prior("a")
    with guarded.client(token=LIMITED) as limited:
        assert limited.info().device == "cpu"
        with pytest.raises(AuthorizationError, match="not good for Estimate; it is for GetServerInfo, Prior"):
            limited.estimate.prior("a")


def test_health_is_open_and_reflection_is_not(guarded: RunningServer) -> None:
    with raw.connected(guarded.target) as stubs:
        assert stubs.serving() == "SERVING"
        for name in (V1, V1ALPHA):
            with pytest.raises(grpc.RpcError) as refused:
                Reflection(stubs.channel, name).ask(list_services="")
            assert refused.value.code() == StatusCode.UNAUTHENTICATED


def test_reflection_answers_a_token_that_is_good_for_it(guarded: RunningServer) -> None:
    with raw.connected(guarded.target) as stubs:
        path = f"/{V1}/ServerReflectionInfo"
        method: grpc.StreamStreamMultiCallable[bytes, bytes] = stubs.channel.stream_stream(path)
        listing = b"\x3a\x01*"  # list_services = "*"
        assert b"kandinsky_api" in next(iter(method(iter([listing]), metadata=bearer(GALLERY))))
        with pytest.raises(grpc.RpcError) as refused:
            next(iter(method(iter([listing]), metadata=bearer(LIMITED))))
        assert refused.value.code() == StatusCode.PERMISSION_DENIED


def test_the_log_names_the_client_and_never_a_token(guarded: RunningServer) -> None:
    with structlog.testing.capture_logs() as lines, raw.connected(guarded.target) as stubs:
        stubs.call("GetServerInfo", INFO, x_request_id="in", authorization=f"Bearer {GALLERY}")
        stubs.call("GetServerInfo", INFO, x_request_id="out", authorization=f"Bearer {GALLERY}x")

        def logged() -> dict[str, tuple[str | None, str]]:
            return {line["request_id"]: (line["client"], line["code"]) for line in lines}

        eventually(lambda: {"in", "out"} <= logged().keys())
    assert logged()["in"] == ("gallery", "OK")
    assert logged()["out"] == (None, "UNAUTHENTICATED")
    assert GALLERY not in str(lines)


def test_each_token_has_its_own_share_of_the_queue(guarded: RunningServer) -> None:
    """A quarter of 8 places is 2: a client that holds them waits, and only that client."""
    with guarded.client(token=LIMITED, retries=0) as limited, guarded.client(token=GALLERY) as gallery:
        with pytest.raises(InvalidRequestError, match="may hold 2"):
            limited.prior("a", image_count=3)
        with limited.stream.prior("a", step_count=1000, image_count=2) as held:
            next(iter(held))
            with pytest.raises(OverloadedError) as refused:
                limited.prior("b", step_count=2)
            assert refused.value.reason == "QUOTA"
            assert refused.value.retry_delay
            assert "'limited' holds 2 places and may hold 2" in refused.value.message
            assert gallery.prior("b", step_count=2, image_count=3)
        eventually(lambda: guarded.app.admission.length == 0)
        assert limited.prior("b", step_count=2)


def test_a_connection_has_so_many_calls_at_once(guarded: RunningServer) -> None:
    own_connection = [("grpc.use_local_subchannel_pool", 1)]
    with (
        raw.connected(guarded.target) as stubs,
        grpc.insecure_channel(guarded.target, options=own_connection) as another,
    ):
        watches = [stubs.health.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        assert all(next(watch) for watch in watches)
        path = "/grpc.health.v1.Health/Check"
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = stubs.channel.unary_unary(path)
        third = check.future(b"")
        # The calls over the limit wait at the client; once a place is free they go.
        assert not third.done()
        assert raw.Raw(another).serving() == "SERVING"
        assert not third.done()
        watches[0].cancel()
        assert third.result(timeout=30) is not None


def test_metadata_has_a_limit(guarded: RunningServer) -> None:
    with raw.connected(guarded.target) as stubs:
        refused = stubs.call("GetServerInfo", INFO, timeout=30, authorization=f"Bearer {'x' * 10_000}")
        assert refused.code == StatusCode.RESOURCE_EXHAUSTED
        room = stubs.call(
            "GetServerInfo", INFO, timeout=30, authorization=f"Bearer {GALLERY}", x_note="x" * 6000
        )
        assert room.code == StatusCode.OK


@pytest.mark.slow
def test_a_changed_file_counts_and_a_broken_one_does_not(
    guarded: RunningServer, tokens_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def opens(token: str) -> bool:
        with guarded.client(token=token) as client:
            try:
                return bool(client.info())
            except AuthenticationError:
                return False

    try:
        with caplog.at_level(logging.WARNING, "kandinsky_server"):
            tokens_file.write_text(f'[gallery]\ntoken = "{NEW}"\n')
            eventually(lambda: opens(NEW))
            assert not opens(GALLERY)
            tokens_file.write_text(f"[gallery]\ntoken = {GALLERY}\n")
            eventually(lambda: opens(NEW) and "cannot be used" in caplog.text)
            tokens_file.unlink()
            eventually(lambda: opens(NEW) and "cannot be read" in caplog.text)
        assert NEW not in caplog.text
        assert GALLERY not in caplog.text
    finally:
        tokens_file.write_text(FILE)
    eventually(lambda: opens(GALLERY))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names no client"),
        ("not toml", "is no TOML"),
        ('[a]\ntoken = "too-short"', "a.token"),
        ('[a]\ntoken = "with blanks in the middle"', "a.token"),
        (f'["a b"]\ntoken = "{GALLERY}"', "a b"),
        (f'[a]\ntoken = "{GALLERY}"\nshare = 0', "a.share"),
        (f'[a]\ntoken = "{GALLERY}"\nrpcs = ["prior"]', "'Prior'"),
        (f'[a]\ntoken = "{GALLERY}"\nshares = 1', "a.shares"),
        (f'[a]\ntoken = "{GALLERY}"\n[b]\ntoken = "{GALLERY}"', "one token to two clients"),
    ],
)
def test_a_bad_file_is_described_without_its_secrets(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=complaint) as refused:
        TokenFile(file)
    assert GALLERY not in str(refused.value)
    assert str(file) in str(refused.value)


def test_tokens_can_name_every_rpc_of_the_contract() -> None:
    services = [
        service
        for module in (prior_pb2, image_pb2, server_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    ]
    names = {method.name for service in services for method in service.methods}
    assert set(get_args(Rpc)) == names | {"ServerReflectionInfo"}
