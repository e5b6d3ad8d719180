"""Throw-away certificates, made by the openssl command when they are needed: none is kept that could expire."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """PEM files of a certificate and its private key."""

    certificate: Path
    key: Path


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(folder: Path, name: str = "ca") -> Pair:
    """A certificate authority."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", pair.key)
    _openssl("req", "-x509", *new_key, "-out", pair.certificate, "-subj", f"/CN={name}", "-days", "2")
    return pair


def issue(ca: Pair, folder: Path, name: str) -> Pair:
    """A certificate for localhost, server or client, signed by ``ca``."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", pair.key)
    _openssl("req", *new_key, "-out", request, "-subj", f"/CN={name}")
    signing = ("-CA", ca.certificate, "-CAkey", ca.key, "-CAcreateserial", "-days", "2")
    _openssl("x509", "-req", "-in", request, *signing, "-extfile", extensions, "-out", pair.certificate)
    return pair
