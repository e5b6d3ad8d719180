"""How to trust the server, and how to be trusted by it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

import grpc

Pem = bytes | str | PathLike[str]


@dataclass(frozen=True, repr=False)
class Tls:
    """Certificates in PEM, each as bytes or as the path of a file.

    Args:
        root_certificates: Whom to trust; None is the system's roots.
        client_certificate: This client's certificate chain, for mutual TLS; needs `client_key`.
        client_key: Its private key, without password; needs `client_certificate`.

    Raises:
        ValueError: One of the two without the other.
    """

    root_certificates: Pem | None = None
    client_certificate: Pem | None = None
    client_key: Pem | None = None

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            there, absent = ("client_certificate", "client_key")[:: 1 if self.client_key is None else -1]
            raise ValueError(f"client_certificate and client_key need each other: {there} has no {absent}")

    def __repr__(self) -> str:
        said = (f"{name}={_name(pem)}" for name, pem in vars(self).items() if pem is not None)
        return f"Tls({', '.join(said)})"

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads and checks the files; gRPC itself would only fail at each connection.

        Raises:
            ValueError: What is read is not the PEM that it should be.
            OSError: A file cannot be read.
        """
        _check_roots(self.root_certificates)
        _check_client(self.client_certificate, self.client_key)
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.root_certificates),
            private_key=_read(self.client_key),
            certificate_chain=_read(self.client_certificate),
        )


def _check_roots(pem: Pem | None) -> None:
    if pem is None:
        return
    try:
        _context().load_verify_locations(cadata=_text(pem))
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"root_certificates: no PEM certificate in {_name(pem)}") from error


def _check_client(certificate: Pem | None, key: Pem | None) -> None:
    """Holds the pair against each other when both are files, all that OpenSSL takes."""
    if certificate is None or key is None:
        return
    if "BEGIN CERTIFICATE" not in _text(certificate):
        raise ValueError(f"client_certificate: no PEM certificate in {_name(certificate)}")
    if "PRIVATE KEY" not in _text(key):
        raise ValueError(f"client_key: no PEM private key in {_name(key)}")
    if isinstance(certificate, bytes) or isinstance(key, bytes):
        return
    try:
        _context().load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        raise ValueError(
            f"client_key: {_name(key)} is not the private key, without password, of {_name(certificate)}"
        ) from error


def _context() -> ssl.SSLContext:
    """Takes any key that parses: how strong it must be is for the server to say."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _read(pem: Pem | None) -> bytes | None:
    return pem if pem is None or isinstance(pem, bytes) else Path(pem).read_bytes()


def _text(pem: Pem) -> str:
    return (_read(pem) or b"").decode("ascii", "ignore")


def _name(pem: Pem) -> str:
    """Names a file; bytes, which may be a private key, by their number."""
    return f"<{len(pem)} bytes>" if isinstance(pem, bytes) else repr(fspath(pem))
