"""TLS: the server's certificate, and whose clients it trusts; read again when the files change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from kandinsky_server.security.fetcher import CertificateFetcher
from kandinsky_server.security.files import read_small
from kandinsky_server.security.watched import Watched


@dataclass(frozen=True)
class Certificates:
    """PEM files. With ``client_ca``, clients must show a certificate that one of its authorities signed."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def check(self) -> None:
        """Has OpenSSL load every file, since grpc itself would only fail at each handshake.

        Raises:
            ValueError: naming the file and what is wrong with it.
        """
        for file in (self.certificate, self.key):
            read_small(file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except OSError as error:
            raise ValueError(
                f"{self.certificate} and {self.key} are no PEM certificate with its private key: {_words(error)}"
            ) from error
        if self.client_ca:
            check_authorities(self.client_ca)

    def credentials(self) -> grpc.ServerCredentials:
        """What grpc serves; it asks at every handshake whether the files have changed.

        Raises:
            ValueError: as `check`.
        """
        files = [file for file in (self.certificate, self.key, self.client_ca) if file]
        fetcher = CertificateFetcher(Watched(files, self._read))
        return grpc.dynamic_ssl_server_credentials(
            fetcher.first,
            fetcher,  # type: ignore[arg-type] # grpc takes None for "as before"; its stubs do not know
            require_client_authentication=self.client_ca is not None,
        )

    def _read(self) -> grpc.ServerCertificateConfiguration:
        self.check()
        pair = (read_small(self.key), read_small(self.certificate))
        return grpc.ssl_server_certificate_configuration(
            [pair], read_small(self.client_ca) if self.client_ca else None
        )


def check_authorities(file: Path) -> None:
    """Raises ValueError when ``file`` holds no PEM certificate."""
    read_small(file)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(file)
    except OSError as error:
        raise ValueError(f"{file} holds no PEM certificate: {_words(error)}") from error


def _no_password() -> str:
    raise ValueError("the private key is encrypted; grpc takes plain ones only")


def _words(error: OSError) -> str:
    """OpenSSL's own words, such as KEY_VALUES_MISMATCH; else the operating system's."""
    reason: str | None = getattr(error, "reason", None)
    return (reason or error.strerror or str(error)).replace("_", " ").lower()
