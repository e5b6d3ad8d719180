"""Connections that are opened to be in the way: half-open, idle, or too many."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import grpc
import pytest
from grpc._cython import cygrpc
from kandinsky_client import Kandinsky, Tls, UnavailableError
from kandinsky_server.rpc import transport
from kandinsky_server.settings import Settings
from kandinsky_server.startup.preflight import Preflight
from kandinsky_server.testing.calls import ENDLESS
from kandinsky_server.testing.running import RunningServer

from tests.support import pki
from tests.support.patience import eventually
from tests.support.raw import Raw
from tests.support.requests import decode
from tests.support.traces import Traces
from tests.support.wire import ACK, GOAWAY, PING, PREFACE, Wire

MOST = 12

WORDS = [
    (b"", False),
    (b"\x16\x03\x01\x02\x00\x01\x00", False),  # half a ClientHello
    (b"", True),
    (PREFACE[:10], True),
    (PREFACE, True),  # and not the settings that must follow
]
"""What a connection says before it falls silent, and whether within TLS."""


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> pki.Pair:
    return pki.authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def guarded(decoder: Path, ca: pki.Pair) -> Iterator[RunningServer]:
    """A server with little patience and few places."""
    own = pki.issue(ca, ca.certificate.parent, "server")
    limits = {"max_connections": MOST, "handshake_seconds": 4.0, "idle_seconds": 1.0}
    with RunningServer(decoder, tls_certificate=own.certificate, tls_key=own.key, **limits) as running:
        yield running


def opened(running: RunningServer, words: bytes, tls: bool) -> socket.socket:
    """A connection that has said these words."""
    host, _, port = running.target.rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.settimeout(60)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        connection = context.wrap_socket(connection)
    connection.sendall(words)
    return connection


def wait_for_end(connection: socket.socket) -> None:
    """Returns once the other side has closed it."""
    with closing(connection):
        try:
            while connection.recv(65536):
                pass
        except (ConnectionResetError, ssl.SSLError):
            return


def client_of(running: RunningServer, ca: pki.Pair, retries: int = 5) -> Kandinsky:
    return running.client(tls=Tls(ca.certificate), retries=retries, timeout=60)


@pytest.mark.slow
def test_who_does_not_finish_the_handshake_is_cut_off(guarded: RunningServer, ca: pki.Pair) -> None:
    before = Traces.of(guarded)
    connections = [opened(guarded, words, tls) for words, tls in (*WORDS, *WORDS)]
    with client_of(guarded, ca) as client:
        assert client.info().device == "cpu"
    for connection in connections:
        wait_for_end(connection)
    before.left_by_nobody(guarded)


@pytest.mark.slow
def test_more_connections_than_places_are_refused_and_those_inside_are_served(
    guarded: RunningServer, ca: pki.Pair
) -> None:
    """Half-open ones count; when they have been cut off there is room again."""

    def gets_in() -> bool:
        with client_of(guarded, ca, retries=0) as late:
            try:
                return late.info().device == "cpu"
            except UnavailableError:
                return False

    def crowded_out() -> bool:
        for _ in range(3 * MOST):
            stack.enter_context(closing(opened(guarded, b"", tls=False)))
        return not gets_in()

    credentials = grpc.ssl_channel_credentials(ca.certificate.read_bytes())
    with grpc.secure_channel(guarded.target, credentials) as channel, ExitStack() as stack:
        inside = Raw(channel).image_service.Decode(decode(step_count=ENDLESS))
        assert next(inside).event.WhichOneof("kind") == "queued"
        eventually(crowded_out)
        assert next(inside).event.WhichOneof("kind") == "progress"
        eventually(gets_in)
        inside.cancel()


def test_a_connection_without_calls_is_closed_and_its_client_does_not_notice(
    guarded: RunningServer, ca: pki.Pair
) -> None:
    before = Traces.of(guarded)
    with client_of(guarded, ca) as client:
        assert client.info().device == "cpu"
        before.left_by_nobody(guarded)
        assert client.info().device == "cpu"


def test_more_connections_than_open_files_are_refused_at_start(decoder: Path) -> None:
    preflight = Preflight(Settings(model=str(decoder), max_connections=10**9))
    preflight.run()
    (problem,) = preflight.problems
    assert problem.startswith("max_connections: needs 1000000128 open files")


def test_grpc_knows_every_option_of_the_port() -> None:
    """It says nothing of those that it does not know."""
    known = Path(cygrpc.__file__).read_bytes()
    names = [name for name, _ in transport.options(Settings())]
    assert [name for name in names if f"{name}\0".encode() not in known] == []


def test_clients_may_ping_a_silent_server_as_often_as_grpc_lets_them(
    decoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go's and Java's least interval is 10 s; the server's is lowered here, so that it is met by waiting less."""
    assert transport.MIN_PING_MS < 10_000
    monkeypatch.setattr(transport, "MIN_PING_MS", 20)
    with RunningServer(decoder) as server, Wire(server.target) as connection:
        frames = connection.frames()
        for _ in range(8):
            time.sleep(0.1)
            connection.ping()
            kind, flags, payload = next(frame for frame in frames if frame[0] in (PING, GOAWAY))
            assert (kind, flags) == (PING, ACK), payload
