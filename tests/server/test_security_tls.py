"""TLS and mTLS on a real port, with certificates that change under it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kandinsky_client import Kandinsky, Tls, UnavailableError
from kandinsky_server.security import watched
from kandinsky_server.security.certificates import Certificates
from kandinsky_server.testing.running import RunningServer

from tests.support import pki, raw
from tests.support.patience import eventually


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
def trusted(ca: pki.Pair, folder: Path) -> Path:
    """Whose clients the server lets in; likewise."""
    return Path(shutil.copy(ca.certificate, folder / "trusted.pem"))


@pytest.fixture(scope="module")
def mutual(
    tiny_model: Path, served: pki.Pair, trusted: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    model = raw.only(tmp_path_factory.mktemp("model"), tiny_model, "prior")
    files = {
        "tls_certificate": served.certificate,
        "tls_key": served.key,
        "tls_client_ca": trusted,
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_changed_client_authority_lets_its_clients_in_and_no_others(
    mutual: RunningServer, ca: pki.Pair, trusted: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, new_ca = pki.issue(ca, folder, "ours"), pki.authority(folder, "new-client-ca")
    theirs = pki.issue(new_ca, folder, "theirs")
    before = trusted.read_bytes()
    assert not reaches(known(mutual, ca, theirs))
    trusted.write_text("half a certifi")
    eventually(lambda: reaches(known(mutual, ca, ours)) and "cannot be used" in caplog.text)
    assert str(trusted) in caplog.text

    trusted.write_bytes(new_ca.certificate.read_bytes())
    eventually(lambda: reaches(known(mutual, ca, theirs)))
    assert not reaches(known(mutual, ca, ours))

    trusted.write_bytes(before)
    eventually(lambda: reaches(known(mutual, ca, ours)))
    assert not reaches(known(mutual, ca, theirs))


def test_a_file_that_vanishes_while_it_is_read_changes_nothing(
    mutual: RunningServer,
    ca: pki.Pair,
    served: pki.Pair,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As in a rotation that removes the old files first: they are found good, and then are gone."""
    ours, before, check = pki.issue(ca, folder, "ours"), served.key.read_bytes(), Certificates.check

    def vanish(certificates: Certificates) -> None:
        check(certificates)
        served.key.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(Certificates, "check", vanish)
        served.certificate.touch()
        eventually(lambda: reaches(known(mutual, ca, ours)) and not served.key.exists())
    assert "cannot be used" in caplog.text
    served.key.write_bytes(before)
    eventually(lambda: reaches(known(mutual, ca, ours)) and "was read again" in caplog.text)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert {record.name for record in errors} == {watched.__name__}
