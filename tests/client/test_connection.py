"""How the client reaches the server and says who it is; and that it needs little to be imported."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import grpc
import kandinsky_client
from kandinsky_api.v1 import types_pb2
from kandinsky_client import AsyncKandinsky, Kandinsky, Tls

from tests.client.fake_server import FakeServer

CERTIFICATES = Path(__file__).parent / "certificates"


def test_token_metadata_and_priority_go_with_each_call(target: str, server: FakeServer) -> None:
    with Kandinsky(target, token="secret", metadata=[("x-team", "a")], priority="high") as client:
        client.prior("x", metadata=[("x-call", "b")])
        assert server.metadata[-1]["authorization"] == "Bearer secret"
        assert server.metadata[-1]["x-team"] == "a"
        assert server.metadata[-1]["x-call"] == "b"
        assert server.requests[-1].options.priority == types_pb2.PRIORITY_HIGH
        client.estimate.prior("x", priority="low")
        assert server.requests[-1].prior.options.priority == types_pb2.PRIORITY_LOW


async def test_a_server_sees_who_calls(target: str, server: FakeServer) -> None:
    named = f"kandinsky-client-python/{version('kandinsky-client')} "
    with Kandinsky(target) as client:
        client.info()
    async with AsyncKandinsky(target) as client:
        await client.info()
    assert [metadata["user-agent"].startswith(named) for metadata in server.metadata] == [True, True]


async def test_mutual_tls(server: FakeServer) -> None:
    certificate = (CERTIFICATES / "localhost.pem").read_bytes()
    key = (CERTIFICATES / "localhost.key").read_bytes()
    target = server.start(grpc.ssl_server_credentials([(key, certificate)], certificate, True))
    files = Tls(
        CERTIFICATES / "localhost.pem", CERTIFICATES / "localhost.pem", CERTIFICATES / "localhost.key"
    )
    with Kandinsky(target, tls=files) as client:
        assert client.info().device == "cpu"
    with Kandinsky(target) as unencrypted:
        assert not unencrypted.ready()
    async with AsyncKandinsky(target, tls=Tls(certificate, certificate, key)) as async_client:
        assert (await async_client.info()).device == "cpu"


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


@contextmanager
def far_away(target: str, seconds: float) -> Iterator[str]:
    """An address from which the server takes so long to begin to answer."""
    host, _, port = target.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:

        def relay() -> None:
            with suppress(OSError):
                while True:
                    near = stack.enter_context(listener.accept()[0])
                    time.sleep(seconds)
                    far = stack.enter_context(socket.create_connection((host, int(port))))
                    for pair in ((near, far), (far, near)):
                        threading.Thread(target=pump, args=pair, daemon=True).start()

        threading.Thread(target=relay, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_server_that_is_far_away_is_reached_at_the_first_try(target: str) -> None:
    with far_away(target, 0.5) as far, Kandinsky(far, retries=0, timeout=20) as client:
        assert client.info().device == "cpu"


def test_every_public_name_is_there() -> None:
    assert all(hasattr(kandinsky_client, name) for name in kandinsky_client.__all__)
    assert dir(kandinsky_client) == sorted(kandinsky_client.__all__)
    assert not hasattr(kandinsky_client, "nothing")


def test_the_base_install_is_enough() -> None:
    absent = "torch", "diffusers", "grpc_health", "grpc_tools", "kandinsky_server", "kandinsky_backends"
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"  # None makes importing them fail
        "import kandinsky_client.public, kandinsky_client.cli.run, kandinsky_client.cli.info"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
