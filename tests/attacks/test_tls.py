"""Handshakes at once, beside a change of certificates, broken off, or never begun."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from kandinsky_server.security import watched
from kandinsky_server.security.certificates import Certificates
from kandinsky_server.security.fetcher import QUIET_SECONDS, CertificateFetcher
from kandinsky_server.security.watched import Watched

from benchmarks.attacks import pki, tls


def test_grpc_hears_of_a_new_certificate_once_and_not_right_after_another_handshake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To swap it at every handshake, or under one that has only just been answered, crashes the process."""
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.0)
    ca = pki.authority(tmp_path)
    own = pki.issue(ca, tmp_path, "server")
    read = Certificates(own.certificate, own.key)._read
    fetcher = CertificateFetcher(Watched([own.certificate, own.key], read))
    assert [fetcher(), fetcher()] == [None, None]
    answered = time.monotonic()
    pki.issue(ca, tmp_path, "server")
    assert fetcher() is not None
    assert time.monotonic() - answered >= QUIET_SECONDS
    assert [fetcher(), fetcher()] == [None, None]


@pytest.mark.slow
@pytest.mark.parametrize(("handshakes", "mutual"), [(2000, False), (300, True)], ids=["TLS", "mTLS"])
def test_clients_that_connect_anew_while_certificates_change(
    tiny_model: Path, handshakes: int, mutual: bool
) -> None:
    verdict = tls.reconnect(tiny_model / "prior", handshakes, 20, mutual, rotation_seconds=1.0)
    assert verdict.held, verdict.measured


@pytest.mark.slow
def test_connections_that_fall_silent_in_the_handshake(tiny_model: Path) -> None:
    verdict = tls.fall_silent(tiny_model / "prior", 120)
    assert verdict.held, verdict.measured
