"""TLS handshakes that come at once, meet new certificates, break off, or never begin."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
from kandinsky_client import Kandinsky, Tls

from benchmarks.attacks import pki
from benchmarks.attacks.attack import Attack, Verdict
from benchmarks.attacks.victim import toy_prior, victim
from benchmarks.process import ServerProcess

HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00"
WORDS = (b"", HALF_HELLO, b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x40\x00" + os.urandom(512))
"""What a connection says before it falls silent."""

TOGETHER = 8
HANDSHAKE_SECONDS = 2.0
PATIENCE_SECONDS = 30.0

MANY_SWAPS = """
from kandinsky_server.security import fetcher, watched
watched.LOOK_SECONDS, fetcher.QUIET_SECONDS = 0.0, 0.02
"""
"""The server looks at its files at every handshake; the quiet before a swap is shorter, but still there."""


@dataclass(frozen=True)
class Keys:
    """An authority, and what the server and a client of it show; a folder of their own."""

    ca: pki.Pair
    server: pki.Pair
    client: pki.Pair

    @classmethod
    def make(cls, folder: Path) -> Keys:
        """Makes them with the openssl command."""
        ca = pki.authority(folder)
        return cls(ca, *(pki.issue(ca, folder, name) for name in ("server", "client")))

    @property
    def tls(self) -> Tls:
        """For a client."""
        return Tls(self.ca.certificate, self.client.certificate, self.client.key)

    def serve(self, prior: Path, *flags: str, mutual: bool = False, first: str = "") -> ServerProcess:
        """A server with them; ``mutual`` makes it ask clients for theirs."""
        flags = (f"--tls-certificate={self.server.certificate}", f"--tls-key={self.server.key}", *flags)
        if mutual:
            flags = (f"--tls-client-ca={self.ca.certificate}", *flags)
        parts = (self.ca.certificate, self.client.key, self.client.certificate)
        credentials = grpc.ssl_channel_credentials(*(part.read_bytes() for part in parts))
        return victim(prior, *flags, credentials=credentials, first=first)

    @contextmanager
    def rotating(self, seconds: float) -> Iterator[None]:
        """Puts another certificate and key into the server's files again and again."""
        ended = threading.Event()
        folder = self.server.certificate.parent
        others = [pki.issue(self.ca, folder, f"other-{number}") for number in range(4)]

        def rotate() -> None:
            while not ended.wait(seconds):
                others.append(others.pop(0))
                for old, new in (
                    (self.server.certificate, others[0].certificate),
                    (self.server.key, others[0].key),
                ):
                    draft = shutil.copy(new, old.with_suffix(".draft"))
                    os.replace(draft, old)

        rotator = threading.Thread(target=rotate)
        rotator.start()
        try:
            yield
        finally:
            ended.set()
            rotator.join()


def shake_hands(target: str, keys: Keys, count: int) -> tuple[int, int]:
    """Connections that came to HTTP/2, of ``count`` by several at once, and how many certificates they met."""
    context = ssl.create_default_context(cafile=str(keys.ca.certificate))
    context.load_cert_chain(keys.client.certificate, keys.client.key)
    context.set_alpn_protocols(["h2"])
    host, _, port = target.rpartition(":")
    met = set[bytes | None]()

    def connect(_: int) -> bool:
        try:
            with (
                socket.create_connection((host, int(port)), PATIENCE_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=host) as connection,
            ):
                met.add(connection.getpeercert(binary_form=True))
                return bool(connection.recv(1))  # the server's settings
        except OSError:
            return False

    with ThreadPoolExecutor(TOGETHER) as clients:
        return sum(clients.map(connect, range(count))), len(met)


def call_anew(target: str, keys: Keys, count: int) -> int:
    """Calls answered, of ``count`` by four clients at once that open a channel for each."""

    def call(_: int) -> bool:
        with Kandinsky(target, tls=keys.tls, retries=0, timeout=PATIENCE_SECONDS) as client:
            return client.info().device == "cpu"

    with ThreadPoolExecutor(4) as clients:
        return sum(clients.map(call, range(count)))


def reconnect(
    prior: Path, connections: int, calls: int, mutual: bool, rotation_seconds: float, first: str = ""
) -> Verdict:
    """Clients that connect anew each time, while the server's certificate changes."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Keys.make(Path(folder))
        with keys.serve(prior, mutual=mutual, first=first) as server, keys.rotating(rotation_seconds):
            shaken, met = shake_hands(server.target, keys, connections)
            answered = call_anew(server.target, keys, calls) if server.alive else 0
            alive = server.alive
            swaps = server.log().count("was read again")
    words = f"{shaken} handshakes, {answered} calls, {swaps} swaps, {met} certificates met"
    return Verdict(
        alive and (shaken, answered) == (connections, calls), words if alive else f"{words}, then dead"
    )


def fall_silent(prior: Path, connections: int) -> Verdict:
    """Connections that say nothing, half of something or nonsense, up to the limit of a handshake and beyond."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Keys.make(Path(folder))
        flags = (f"--handshake-seconds={HANDSHAKE_SECONDS}", f"--max-connections={connections + 100}")
        with keys.serve(prior, *flags) as server:
            call_anew(server.target, keys, 4)
            before = server.kept()[1]
            with _silent(server.target, [WORDS[number % len(WORDS)] for number in range(connections)]):
                answered = call_anew(server.target, keys, 10)
            answered += call_anew(server.target, keys, 10)
            limit = time.monotonic() + PATIENCE_SECONDS
            while server.alive and server.kept()[1] > before + TOGETHER and time.monotonic() < limit:
                time.sleep(0.1)
            alive, after = server.alive, server.kept()[1] if server.alive else 0
            lines = [line for line in server.log().splitlines() if '"event"' not in line]
    words = (
        f"{answered} of 20 calls beside and after, open files {before} -> {after}, {len(lines)} lines by gRPC"
    )
    return Verdict(alive and answered == 20 and after <= before + TOGETHER and not lines, words)


@contextmanager
def _silent(target: str, words: Sequence[bytes]) -> Iterator[None]:
    """A connection for each; ends when the server has closed them all."""
    host, _, port = target.rpartition(":")
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(socket.create_connection((host, int(port)), PATIENCE_SECONDS)))
            for _ in words
        ]
        for connection, text in zip(connections, words, strict=True):
            connection.sendall(text)
        yield
        for connection in connections:
            with suppress(ConnectionError):
                while connection.recv(4096):
                    pass


ATTACKS = (
    Attack(
        "TLS clients that connect anew, a new certificate each second",
        "20,000 handshakes by 8, 500 calls by 4",
        "SIGSEGV after 508 connections, 1 s",
        lambda: reconnect(toy_prior(), 20_000, 500, mutual=False, rotation_seconds=1.0),
    ),
    Attack(
        "mTLS clients that connect anew, a new certificate each second",
        "10,000 handshakes by 8, 500 calls by 4",
        "SIGSEGV after 2,177 connections",
        lambda: reconnect(toy_prior(), 10_000, 500, mutual=True, rotation_seconds=1.0),
    ),
    Attack(
        "certificates that change as fast as they can be swapped",
        "20,000 handshakes by 8",
        "SIGSEGV at once; after 1,420 swaps, if only they are told",
        lambda: reconnect(toy_prior(), 20_000, 0, mutual=False, rotation_seconds=0.02, first=MANY_SWAPS),
    ),
    Attack(
        "connections that fall silent before or in the handshake",
        "600 connections",
        "SIGSEGV at the handshake limit",
        partial(fall_silent, toy_prior(), 600),
    ),
)
