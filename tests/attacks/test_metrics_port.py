"""Whoever reaches the metrics port cannot fill the server, nor keep the scraper out."""

from __future__ import annotations

import gzip
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
from kandinsky_server.testing.running import RunningServer

from benchmarks.attacks.bystanders import half_requests
from tests.support.traces import Traces

CONNECTIONS = 8
HALF = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    limits: dict[str, Any] = {"metrics_connections": CONNECTIONS, "metrics_seconds": 2.0}
    with RunningServer(prior=str(tiny_model / "prior"), **limits) as running:
        yield running


def connect(server: RunningServer, words: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.lifecycle.metrics_port))
    connection.settimeout(60)
    connection.sendall(words)
    return connection


def scrape(server: RunningServer, path: str = "/metrics", **headers: str) -> tuple[bytes, str]:
    """The page, and its content type."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"http://127.0.0.1:{server.lifecycle.metrics_port}{path}", headers=names)
    with urllib.request.urlopen(request, timeout=60) as response:
        body = response.read()
        if response.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        return body, response.headers["Content-Type"]


def rest(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    with closing(connection):
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""


@pytest.mark.slow
def test_half_requests_hold_no_more_than_their_number_and_end(server: RunningServer) -> None:
    before = Traces.of(server)
    with ExitStack() as stack:
        held = [stack.enter_context(closing(connect(server, HALF))) for _ in range(10 * CONNECTIONS)]
        for _ in range(3):
            assert b"kandinsky_requests_total" in scrape(server)[0]
        for connection in held:
            rest(connection)
    before.left_by_nobody(server)


def test_who_sends_a_byte_from_time_to_time_gains_no_time(server: RunningServer) -> None:
    with closing(connect(server, HALF)) as connection, pytest.raises(ConnectionError):  # noqa: PT012
        for _ in range(600):
            connection.sendall(b"x")
            time.sleep(0.1)


def test_what_is_no_request_gets_no_answer(server: RunningServer) -> None:
    before = Traces.of(server)
    endless = b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000
    held = [connect(server, words) for words in (endless, b"\x16\x03\x01\x02\x00", b"", b"GET /metrics\r\n")]
    assert [rest(connection) for connection in held] == [b""] * 4
    before.left_by_nobody(server)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /metrics HTTP/1.1", b"405"),
        (b"nonsense", b"400"),
        (b"GET /metrics HTTP/1.1 x", b"400"),
        (b"GET /\xff HTTP/1.1", b"400"),
        (b"OPTIONS / HTTP/1.1", b"200"),
        (b"GET /metrics HTTP/1.0", b"200"),
    ],
)
def test_requests_are_answered_by_what_they_are(server: RunningServer, head: bytes, status: bytes) -> None:
    assert rest(connect(server, head + b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)


def test_who_never_reads_the_page_is_cut_off(server: RunningServer) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(CONNECTIONS)]
        before = Traces.of(server)
        for connection in sockets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", server.lifecycle.metrics_port))
            connection.sendall(HALF + b"\r\n")
        before.left_by_nobody(server)


def test_the_scraper_gets_the_format_it_asks_for(server: RunningServer) -> None:
    plain, kind = scrape(server)
    assert kind.startswith("text/plain")
    zipped, _ = scrape(server, Accept_Encoding="gzip")
    assert zipped.split(b"\n", 1)[0] == plain.split(b"\n", 1)[0]
    opened, kind = scrape(server, Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert opened.endswith(b"# EOF\n")
    some, _ = scrape(server, "/metrics?name[]=kandinsky_queue_length")
    assert some.count(b"# TYPE") == 1


@pytest.mark.slow
def test_hundreds_of_half_requests_leave_nothing_behind(tiny_model: Path) -> None:
    verdict = half_requests(tiny_model / "prior", 300)
    assert verdict.held, verdict.measured
