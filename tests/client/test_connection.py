"""How the client reaches the server and says who it is; and that it needs little to be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import kandinsky_client
from kandinsky_api.v1 import types_pb2
from kandinsky_client import AsyncKandinsky, Kandinsky, Tls

from .fake_server import FakeServer

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
