"""Certificates for one run of the suite, made by the openssl command: none is kept that could expire."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.attacks.pki import Pair, authority, issue


@dataclass(frozen=True)
class Certificates:
    """Made when they are first asked for.

    Args:
        folder: Where they are written: `ca.pem`, `server.pem`, `friend.pem` with `friend.key` (a client's), and
            `other.pem`, an authority that signed none of them, with `stranger.pem` and `stranger.key`.
    """

    folder: Path

    @cached_property
    def ca(self) -> Pair:
        """The authority of the server and of the client `friend`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ca, other = authority(self.folder), authority(self.folder, "other")
        issue(ca, self.folder, "friend")
        issue(other, self.folder, "stranger")
        return ca

    @cached_property
    def server(self) -> Pair:
        """The server's certificate, for localhost and 127.0.0.1."""
        return issue(self.ca, self.folder, "server")
