"""Where the server listens, how it is encrypted, and who may call."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, FilePath, ValidationInfo, field_validator

from kandinsky_server.security.certificates import Certificates, check_authorities
from kandinsky_server.security.tokens import TokenFile
from kandinsky_server.settings import addresses
from kandinsky_server.settings.types import MAX_SECONDS, Count, PortNumber


class Listening(BaseModel):
    """Where the server listens, how it is encrypted, and who may call."""

    tls_certificate: FilePath | None = Field(
        None,
        description="PEM file of this server's certificate chain: speak TLS. Read again when it changes.",
    )
    tls_key: FilePath | None = Field(
        None, validate_default=True, description="PEM file of its private key, without password."
    )
    tls_client_ca: FilePath | None = Field(
        None, description="PEM file of authorities: only clients with a certificate of theirs get in (mTLS)."
    )
    tokens_file: FilePath | None = Field(
        None,
        description="TOML file of clients and their tokens: nobody else may call. Read again when it changes.",
    )
    insecure: bool = Field(
        False, description="Listen beyond this machine without TLS: a proxy or mesh has it."
    )
    host: str = Field(
        "127.0.0.1", description="Address to listen on; or a Unix socket, unix:PATH, which has no port."
    )
    port: PortNumber = Field(50051, description="gRPC port; 0 takes a free one.")
    metrics_port: PortNumber | None = Field(
        9464, description="Port of Prometheus' /metrics; 0 takes a free one, 'null' serves none."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address of /metrics, which has no TLS and no tokens, whatever the rest has."
    )
    max_connection_age_seconds: float | None = Field(
        None,
        ge=1,
        le=MAX_SECONDS,
        description="How old a connection may become before its client is asked to connect anew, to whichever replica; "
        "its calls end in peace. Default: any age.",
    )
    metrics_connections: Count = Field(
        32, le=64, description="Connections at once to /metrics; one more cuts off the oldest."
    )
    metrics_seconds: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long a request for /metrics may take, its answer included.",
    )

    @property
    def certificates(self) -> Certificates | None:
        """The TLS files; None is an unencrypted port."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return Certificates(self.tls_certificate, self.tls_key, self.tls_client_ca)

    @field_validator("tls_key")
    @classmethod
    def _key_fits(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("tls_certificate", key)
        if (certificate is None) != (key is None):
            raise ValueError("tls_certificate and tls_key need each other")
        if "tls_certificate" in info.data and certificate and key:
            Certificates(certificate, key).check()
        return key

    @field_validator("tls_client_ca")
    @classmethod
    def _client_ca_holds_certificates(cls, client_ca: Path | None, info: ValidationInfo) -> Path | None:
        if client_ca and info.data.get("tls_certificate", client_ca) is None:
            raise ValueError("client certificates need TLS: give tls_certificate and tls_key too")
        if client_ca:
            check_authorities(client_ca)
        return client_ca

    @field_validator("tokens_file")
    @classmethod
    def _tokens_parse(cls, tokens_file: Path | None) -> Path | None:
        if tokens_file:
            TokenFile(tokens_file)
        return tokens_file

    @field_validator("host", "metrics_host")
    @classmethod
    def _host_can_be_opened(cls, host: str, info: ValidationInfo) -> str:
        if info.field_name == "metrics_host" and addresses.is_unix(host):
            raise ValueError("metrics are served over TCP: give an address of this machine")
        return addresses.checked_host(host)

    @field_validator("metrics_host")
    @classmethod
    def _metrics_have_a_port_of_their_own(cls, metrics_host: str, info: ValidationInfo) -> str:
        host, port, metrics_port = (info.data.get(name) for name in ("host", "port", "metrics_port"))
        if host and port and port == metrics_port and addresses.overlap(host, metrics_host):
            raise ValueError(f"port and metrics_port are both {port}: give one of them another")
        return metrics_host

    @field_validator("host")
    @classmethod
    def _host_is_encrypted(cls, host: str, info: ValidationInfo) -> str:
        encrypted = info.data.get("tls_certificate", host) is not None
        if encrypted or info.data.get("insecure", True) or addresses.is_local(host):
            return host
        secrets = "prompts, images and tokens" if info.data.get("tokens_file") else "prompts and images"
        raise ValueError(
            f"on {host!r} everyone on the way could read {secrets}: give tls_certificate and tls_key, or say "
            "insecure when something else encrypts"
        )
