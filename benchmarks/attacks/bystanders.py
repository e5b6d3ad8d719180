"""Who reads the log and who scrapes the metrics: slow, stuck, gone, or somebody else altogether."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

from kandinsky_client import InvalidRequestError

from benchmarks.attacks.attack import Attack, Verdict
from benchmarks.attacks.victim import toy_prior, victim

HALF_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: "
SPARE_THREADS, SPARE_FILES = 1, 150
"""What may come with the connections, however many they are: a thread that the process starts at need; the connections
that are served at once, and those that one turn of the loop takes from the system's queue and the next one cuts off."""

METRICS_SECONDS = 3.0
PATIENCE_SECONDS = 30.0


def stall_log(prior: Path, calls: int, *flags: str) -> Verdict:
    """Refused calls, one line each, on a server whose standard error is a pipe that nobody reads."""
    with victim(prior, "--log-format=json", *flags, unread_log=True) as server:
        answered = 0
        with server.client(timeout=PATIENCE_SECONDS, retries=0) as client:
            for _ in range(calls):
                try:
                    client.prior("a cat", step_count=10**6)
                except InvalidRequestError:
                    answered += 1
        dropped = int(server.metrics()["kandinsky_log_lines_dropped_total"])
        code = server.stop()
    words = f"{answered} of {calls} answered, {dropped} lines dropped, exit code {code}"
    return Verdict((answered, code) == (calls, 0) and dropped > 0, words)


def half_requests(prior: Path, connections: int) -> Verdict:
    """Connections to /metrics that never end their request, some of which send a byte from time to time."""
    with victim(prior, f"--metrics-seconds={METRICS_SECONDS}") as server, ExitStack() as stack:
        scrape(server.metrics_address)
        before = server.kept()
        held = []
        for _ in range(connections):
            connection = stack.enter_context(closing(socket.create_connection(server.metrics_address)))
            connection.sendall(HALF_REQUEST)
            held.append(connection)
        during, scraped = server.kept(), 0
        for _ in _seconds(METRICS_SECONDS + 1):
            scraped += scrape(server.metrics_address)
            for connection in held[::10]:
                _drip(connection)
        left = [connection for connection in held if not _ended(connection)]
        after = server.kept()
    words = (
        f"threads, files {before} -> {during} -> {after}; {scraped} scrapes in between; {len(left)} held out"
    )
    few = during[0] - before[0] <= SPARE_THREADS and during[1] - before[1] <= SPARE_FILES
    return Verdict(not left and scraped > 0 and few and after[1] <= before[1], words)


def scrape(address: tuple[str, int]) -> bool:
    """Whether /metrics answers with its page."""
    url = "http://{}:{}/metrics".format(*address)
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
        return b"kandinsky_requests_total" in response.read()


def _drip(connection: socket.socket) -> None:
    """Sends one byte more, to whoever is still there."""
    with suppress(ConnectionError):
        connection.sendall(b"x")


def _ended(connection: socket.socket) -> bool:
    """Whether the server has closed it."""
    connection.settimeout(1.0)
    try:
        return not connection.recv(1)
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def _seconds(number: float) -> Iterator[None]:
    """Ten times a second."""
    end = time.monotonic() + number
    while time.monotonic() < end:
        yield
        time.sleep(0.1)


ATTACKS = (
    Attack(
        "standard error that nobody reads",
        "10,000 refused calls",
        "frozen after 265 calls, SIGTERM included",
        partial(stall_log, toy_prior(), 10_000),
    ),
    Attack(
        "half requests to the metrics port",
        "1,000 connections",
        "a thread and a file for each, for ever",
        partial(half_requests, toy_prior(), 1000),
    ),
)
