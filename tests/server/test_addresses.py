"""Addresses that a server listens on: IPv6, Unix sockets, and what cannot be had told before anything is loaded."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from kandinsky_client import Kandinsky
from kandinsky_server.settings import Settings, load_settings
from kandinsky_server.settings.addresses import obstacle
from kandinsky_server.startup.preflight import Preflight
from kandinsky_server.testing.running import RunningServer

from tests.support import pki, raw

LOOPBACK_6 = "::1"


def has_ipv6() -> bool:
    try:
        socket.create_server((LOOPBACK_6, 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def prior(tiny_model: Path, tmp_path: Path) -> Path:
    return raw.only(tmp_path / "model", tiny_model, "prior")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def problems(**settings: object) -> list[str]:
    preflight = Preflight(Settings(device="cpu", backend="eager", **settings))  # type: ignore[arg-type]
    preflight._ports()
    return preflight.problems


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_is_served_and_its_address_can_be_dialled(prior: Path, host: str) -> None:
    with RunningServer(prior, host=host, metrics_host=host) as server:
        assert server.lifecycle.address == f"[::1]:{server.lifecycle.port}"
        with Kandinsky(server.lifecycle.address) as client:
            assert client.info().stages
        with urlopen(f"http://[::1]:{server.lifecycle.metrics_port}/metrics") as page:
            assert b"kandinsky_requests_total" in page.read()


@pytest.mark.parametrize("form", ["unix:{}", "unix://{}", "unix-abstract:kandinsky-test-{}"])
def test_a_unix_socket_is_served_without_tls(prior: Path, tmp_path: Path, form: str) -> None:
    host = form.format(tmp_path / "server.sock")
    assert load_settings(["--host", host]).certificates is None  # no other machine can reach it
    with RunningServer(prior, host=host) as server:
        assert server.lifecycle.address == host
        with Kandinsky(host) as client:
            assert len(client.prior("a cat", step_count=2)) == 1
        (problem,) = problems(host=host)
        assert problem == f"port: {host} is served by another process; end that, or give another path"
    assert problems(host=host) == []


def test_a_socket_left_by_a_killed_server_is_replaced_and_a_file_is_not(prior: Path, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert path.exists()
    with RunningServer(prior, host=f"unix:{path}") as server, Kandinsky(server.lifecycle.address) as client:
        assert client.info().stages
    path.unlink(missing_ok=True)
    path.write_text("notes")
    assert problems(host=f"unix:{path}") == [
        f"port: unix:{path} cannot be made: there is a file of that name"
    ]
    assert path.read_text() == "notes"


def test_a_unix_socket_can_have_tls(prior: Path, tmp_path: Path) -> None:
    pair = pki.authority(tmp_path)
    files = {"tls_certificate": pair.certificate, "tls_key": pair.key}
    with RunningServer(prior, host=f"unix:{tmp_path / 'server.sock'}", **files) as server:
        assert server.app.settings.certificates


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        ("127.0.0.1:50051", "if it has a port, give that as --port"),
        ("localhost:50051", "if it has a port, give that as --port"),
        ("[::1]:50051", "if it has a port, give that as --port"),
        ("http://localhost", "is a URL; give the host alone"),
        ("dns:///localhost", "is a URL; give the host alone"),
        ("unix:", "names no socket"),
        ("unix:/" + "x" * 200, "at most 107 bytes"),
        ("my host", "must be an address or the name of this machine"),
        ("[]", "must be an address or the name of this machine"),
    ],
)
def test_what_is_no_host_is_told(capsys: pytest.CaptureFixture[str], host: str, complaint: str) -> None:
    with pytest.raises(SystemExit) as ended:
        load_settings(["--host", host, "--insecure"])
    assert ended.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("kandinsky serve: host: ")
    assert complaint in told


def test_metrics_are_not_served_on_a_unix_socket(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(["--metrics-host", "unix:/tmp/metrics.sock"])
    assert "metrics are served over TCP" in capsys.readouterr().err


def test_ports_that_are_taken_are_told_before_anything_is_loaded(taken: int) -> None:
    told = problems(port=taken, metrics_port=None)
    assert told == [
        f"port: 127.0.0.1:{taken} is taken by another process; end that, or give another port (0: any free one)"
    ]
    (metrics,) = problems(port=0, metrics_port=taken)
    assert metrics.startswith(f"metrics_port: 127.0.0.1:{taken} is taken")


def test_one_port_for_both_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(["--port", "9464"])
    assert "port and metrics_port are both 9464" in capsys.readouterr().err
    assert load_settings(["--port", "9464", "--metrics-port", "null"]).port == 9464
    assert load_settings(["--port", "7", "--metrics-port", "7", "--metrics-host", "127.0.0.2"]).port == 7


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        ("192.0.2.7", "is no address of this machine"),
        ("no-such-host.invalid", "is no address of this machine"),
        ("unix:/nowhere/at/all.sock", "there is no directory '/nowhere/at'"),
    ],
)
def test_hosts_that_this_machine_has_not_are_told(host: str, complaint: str) -> None:
    (told,) = problems(host=host, insecure=True, port=0, metrics_port=None)
    assert complaint in told


def test_a_port_that_is_taken_meanwhile_is_told_as_well(prior: Path, taken: int) -> None:
    """After the preflight looked."""
    with pytest.raises(OSError, match=f"127.0.0.1:{taken} is taken by another process"):
        start(RunningServer(prior, port=taken))
    with pytest.raises(
        OSError, match=f"metrics cannot be served on 127.0.0.1:{taken}: .* is taken by another"
    ):
        start(RunningServer(prior, metrics_port=taken))


def start(server: RunningServer) -> None:
    """Fails, and leaves nothing behind."""
    server._thread.start()
    try:
        lifecycle = server.run(server._create())
        server.run(lifecycle.start())
    finally:
        server._loop.call_soon_threadsafe(server._loop.stop)
        server._thread.join()
        server._loop.close()


def test_a_name_may_have_an_address_that_this_machine_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost is ::1 too in many a container without IPv6; gRPC is content with the other."""
    look_up = socket.getaddrinfo

    def both(host: str, port: int, **options: Any) -> list[Any]:
        names = ["2001:db8::1", "127.0.0.1"] if host == "localhost" else [host]
        return [found for name in names for found in look_up(name, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert obstacle("localhost", 0) == ""
    assert "is no address of this machine" in obstacle("2001:db8::1", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "is taken by another process" in obstacle("localhost", server.getsockname()[1])


def test_looking_leaves_the_port_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert obstacle("127.0.0.1", port) == ""
    socket.create_server(("127.0.0.1", port)).close()
