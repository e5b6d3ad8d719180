"""One run of the command line: how to reach the server, and whether to ask only."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from kandinsky_client.cli.connection_flags import ConnectionFlags

if TYPE_CHECKING:
    from kandinsky_client.client import Kandinsky


@dataclass
class Session:
    """One run of the CLI.

    Args:
        flags: What the options say of the server.
        estimating: Whether commands ask what they would cost, in place of running it.
    """

    flags: ConnectionFlags = field(default_factory=ConnectionFlags)
    estimating: bool = False

    def client(self) -> Kandinsky:
        """Connects; raises OSError when a file cannot be read, ValueError when it is not what it should be."""
        os.environ.setdefault(
            "GRPC_VERBOSITY", "NONE"
        )  # its lines tell developers what our sentence tells users
        from kandinsky_client import Kandinsky, Tls
        from kandinsky_client.connection import DEFAULT_TARGET

        flags = self.flags.with_environment()
        files = (flags.root_certificates, flags.client_certificate, flags.client_key)
        return Kandinsky(
            flags.target or DEFAULT_TARGET,
            timeout=flags.timeout,
            token=self._token(flags),
            tls=Tls(*files) if any(files) else bool(flags.tls),
        )

    def _token(self, flags: ConnectionFlags) -> str | None:
        """The token: of the option's file, else the environment's own, else of the environment's file."""
        own = os.environ.get("KANDINSKY_CLIENT_TOKEN", "").strip()
        if self.flags.token_file is None and own:
            return own
        if flags.token_file is None:
            return None
        try:
            token = flags.token_file.read_text(encoding="ascii").strip()
        except UnicodeDecodeError as error:
            raise typer.BadParameter(
                f"--token-file {flags.token_file}: holds no token, which is ASCII"
            ) from error
        if not token:
            raise typer.BadParameter(f"--token-file {flags.token_file}: is empty")
        return token
