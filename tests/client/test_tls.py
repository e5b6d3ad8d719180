"""Encryption and trust: what does not fit is told as what it is, before anything is dialled where that can be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from kandinsky_client import AsyncKandinsky, Kandinsky, Tls, TlsError, UnavailableError, UnreachableError
from kandinsky_client.cli import main

from tests.client.fake_server import FakeServer
from tests.support.pki import Pair, authority, issue


@dataclass(frozen=True)
class Servers:
    """One plain, one with TLS, one that asks for certificates, one whose certificate is for another name."""

    folder: Path
    ca: Pair
    other: Pair
    plain: str
    tls: str
    mutual: str
    elsewhere: str


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("pki")
    ca, other = authority(folder), authority(folder, "other")
    own = issue(ca, folder, "server")
    issue(ca, folder, "friend")
    issue(other, folder, "stranger")
    running = [FakeServer() for _ in range(4)]
    targets = [
        running[0].start(),
        running[1].start(credentials(own)),
        running[2].start(credentials(own, ca)),
        running[3].start(credentials(other)),
    ]
    yield Servers(folder, ca, other, *targets)
    for server in running:
        server.stop()


def credentials(pair: Pair, client_ca: Pair | None = None) -> grpc.ServerCredentials:
    chain = [(pair.key.read_bytes(), pair.certificate.read_bytes())]
    roots = client_ca.certificate.read_bytes() if client_ca else None
    return grpc.ssl_server_credentials(chain, roots, client_ca is not None)


def test_half_a_client_certificate_is_refused_and_ends_no_process(servers: Servers) -> None:
    friend = servers.folder / "friend.pem"
    script = (
        "import sys\n"
        "from kandinsky_client import Kandinsky, Tls\n"
        "for half in ({'client_certificate': sys.argv[1]}, {'client_key': sys.argv[1]}):\n"
        "    try:\n"
        "        Kandinsky('localhost:1', tls=Tls(**half))\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(friend)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended
    assert ended.stdout.count("need each other") == 2
    assert "client_key has no client_certificate" in ended.stdout


def test_files_that_are_no_certificates_are_named(servers: Servers) -> None:
    text, empty = servers.folder / "text.pem", servers.folder / "empty.pem"
    text.write_text("hello\n")
    empty.write_text("")
    good, key = servers.folder / "friend.pem", servers.folder / "friend.key"
    wrong_key = servers.folder / "stranger.key"
    for tls, words in [
        (Tls(text), "text.pem"),
        (Tls(empty), "empty.pem"),
        (Tls(b""), "0 bytes"),
        (Tls(key), "friend.key"),
        (Tls(None, text, key), "text.pem"),
        (Tls(None, good, text), "text.pem"),
        (Tls(None, good.read_bytes(), b"nothing"), "client_key"),
        (Tls(None, good, wrong_key), "stranger.key"),
    ]:
        with pytest.raises(ValueError, match=r"certificate|key") as refused:
            Kandinsky("localhost:1", tls=tls)
        assert words in str(refused.value)
    with pytest.raises(FileNotFoundError):
        Kandinsky("localhost:1", tls=Tls("nowhere.pem"))
    with pytest.raises(TypeError, match="tls must be"):
        Kandinsky("localhost:1", tls="ca.pem")  # type: ignore[arg-type]


def test_a_private_key_is_not_shown(servers: Servers) -> None:
    key = (servers.folder / "friend.key").read_bytes()
    shown = repr(Tls(servers.ca.certificate, (servers.folder / "friend.pem").read_bytes(), key))
    assert "PRIVATE" not in shown
    assert "ca.pem" in shown
    assert f"<{len(key)} bytes>" in shown


def wrong(servers: Servers) -> list[tuple[str, Tls | bool, type[UnavailableError], str]]:
    folder, ca = servers.folder, servers.ca.certificate
    stranger = Tls(ca, folder / "stranger.pem", folder / "stranger.key")
    mismatch = Tls(ca, *((folder / name).read_bytes() for name in ("friend.pem", "stranger.key")))
    return [
        (servers.plain, Tls(ca), TlsError, "does not speak TLS"),
        (servers.tls, True, TlsError, "not trusted"),
        (servers.tls, Tls(servers.other.certificate), TlsError, "give its authority's certificate"),
        (servers.elsewhere, Tls(servers.other.certificate), TlsError, "another name"),
        (servers.mutual, mismatch, TlsError, "cannot be used"),
        (servers.tls, False, UnavailableError, "speaks TLS where this client does not"),
        (servers.mutual, Tls(ca), UnavailableError, "client certificate"),
        (servers.mutual, stranger, UnavailableError, "client certificate"),
    ]


def test_wrong_tls_is_told_as_such(servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    for target, tls, kind, words in wrong(servers):
        with Kandinsky(target, tls=tls, retries=0) as client, pytest.raises(kind) as caught:
            client.info(timeout=20)
        assert type(caught.value) is kind, caught.value
        assert words in str(caught.value)
    with pytest.raises(SystemExit):
        main(["--target", servers.plain, "--root-certificates", str(servers.ca.certificate), "info"])
    said = capsys.readouterr().err
    assert "does not speak TLS" in said
    assert "kandinsky serve" not in said


async def test_the_async_client_tells_it_alike(servers: Servers) -> None:
    async with AsyncKandinsky(servers.tls, tls=True, retries=0) as client:
        with pytest.raises(TlsError, match="not trusted"):
            await client.info(timeout=20)


def test_what_fits_is_served(servers: Servers) -> None:
    friend = Tls(servers.ca.certificate, servers.folder / "friend.pem", servers.folder / "friend.key")
    with Kandinsky(servers.mutual, tls=friend) as client:
        assert client.info(timeout=20).device == "cpu"


def test_trust_is_not_tried_again_and_absence_is_told(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("kandinsky_client.client.time.sleep", waits.append)
    with Kandinsky(servers.tls, tls=True) as client, pytest.raises(TlsError):
        client.info(timeout=20)
    assert not waits
    for target in ("localhost:1", "no-such-host.invalid:1"):
        with (
            Kandinsky(target, retries=0) as client,
            pytest.raises(UnreachableError, match="no server answers"),
        ):
            client.info(timeout=20)
    with pytest.raises(ValueError, match="not the URL"):
        Kandinsky("http://localhost:50051")
