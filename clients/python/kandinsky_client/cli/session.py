"""What the options before the command say: the server, and how to reach it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kandinsky_client.client import Kandinsky


@dataclass
class Session:
    """One run of the CLI.

    Args:
        target: The server's address.
        timeout: Seconds for each call; None is no limit.
        token_file: A file that holds the bearer token.
        tls: Whether to use TLS; any of the files below says so as well.
        root_certificates: PEM file of whom to trust; None is the system's roots.
        client_certificate: PEM file of this client's chain.
        client_key: PEM file of its private key.
        estimating: Whether commands ask what they would cost, in place of running.
    """

    target: str
    timeout: float | None = None
    token_file: Path | None = None
    tls: bool = False
    root_certificates: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    estimating: bool = False

    def client(self) -> Kandinsky:
        """Connects; raises OSError when a file can not be read."""
        from kandinsky_client import Kandinsky, Tls

        files = (self.root_certificates, self.client_certificate, self.client_key)
        return Kandinsky(
            self.target,
            timeout=self.timeout,
            token=self.token_file.read_text().strip() if self.token_file else None,
            tls=Tls(*files) if any(files) else self.tls,
        )
