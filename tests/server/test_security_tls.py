"""TLS and mTLS on a real port, with certificates that change under it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kandinsky_client import Kandinsky, Tls, UnavailableError

from tests.harness import RunningServer
from tests.server import pki, raw
from tests.server.patience import eventually


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


@pytest.fixture(scope="module")
def ca(folder: Path) -> pki.Pair:
    return pki.authority(folder)


@pytest.fixture(scope="module")
def served(ca: pki.Pair, folder: Path) -> pki.Pair:
    """What the server shows; tests replace the files and put them back."""
    return pki.issue(ca, folder, "server")


@pytest.fixture(scope="module")
def mutual(
    tiny_model: Path, ca: pki.Pair, served: pki.Pair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    model = raw.only(tmp_path_factory.mktemp("model"), tiny_model, "prior")
    files = {
        "tls_certificate": served.certificate,
        "tls_key": served.key,
        "tls_client_ca": ca.certificate,
    }
    # All addresses: with TLS it takes no --insecure.
    with RunningServer(model, host="0.0.0.0", metrics_port=None, **files) as running:
        yield running


def known(running: RunningServer, ca: pki.Pair, own: pki.Pair) -> Kandinsky:
    """A client that trusts ``ca`` and shows ``own``."""
    return running.client(tls=Tls(ca.certificate, own.certificate, own.key), retries=0, timeout=10)


def reaches(client: Kandinsky) -> bool:
    with client:
        try:
            return client.info().device == "cpu"
        except UnavailableError:
            return False


def test_clients_of_the_authority_get_in_and_others_do_not(
    mutual: RunningServer, ca: pki.Pair, folder: Path
) -> None:
    ours = pki.issue(ca, folder, "ours")
    stranger = pki.issue(pki.authority(folder, "other-ca"), folder, "stranger")
    with known(mutual, ca, ours) as client:
        assert client.prior("a red circle", step_count=2, seed=1)
    assert not reaches(known(mutual, ca, stranger))
    assert not reaches(mutual.client(tls=Tls(ca.certificate), retries=0, timeout=10))
    assert not reaches(mutual.client(retries=0, timeout=10))


def test_a_client_refuses_a_server_it_does_not_trust(
    mutual: RunningServer, ca: pki.Pair, folder: Path
) -> None:
    ours, elsewhere = pki.issue(ca, folder, "ours"), pki.authority(folder, "elsewhere")
    assert not reaches(known(mutual, elsewhere, ours))


def test_changed_certificates_are_served_and_broken_ones_are_not(
    mutual: RunningServer, ca: pki.Pair, served: pki.Pair, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, new_ca = pki.issue(ca, folder, "ours"), pki.authority(folder, "new-ca")
    before = [file.read_bytes() for file in (served.certificate, served.key)]
    with known(mutual, ca, ours) as old:
        old.info()
        served.certificate.write_text("half a certifi")
        eventually(lambda: reaches(known(mutual, ca, ours)) and "cannot be used" in caplog.text)
        assert str(served.certificate) in caplog.text

        pki.issue(new_ca, folder, "server")
        eventually(lambda: reaches(known(mutual, new_ca, ours)))
        assert not reaches(known(mutual, ca, ours))
        assert old.info()  # connections that are open stay so

    for file, content in zip((served.certificate, served.key), before, strict=True):
        file.write_bytes(content)
    eventually(lambda: reaches(known(mutual, ca, ours)))
