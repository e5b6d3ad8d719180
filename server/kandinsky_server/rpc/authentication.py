"""Who a call comes from: the bearer token in its metadata."""

from __future__ import annotations

from collections.abc import Iterable

from kandinsky_server.errors import PermissionDenied, Unauthenticated
from kandinsky_server.security.tokens import Client, TokenFile

KEY = "authorization"
HOW = 'send "authorization: Bearer TOKEN" metadata'

Metadata = Iterable[tuple[str, str | bytes]]


class Authentication:
    """Tells clients apart by their tokens; without a token file clients have no names."""

    def __init__(self, tokens: TokenFile | None) -> None:
        self.tokens = tokens

    def client(self, metadata: Metadata | None) -> Client:
        """The client that the metadata's token belongs to.

        Raises:
            Unauthenticated: there is no token, more than one, or one that the file does not have.
        """
        if self.tokens is None:
            return Client()
        found = [value for key, value in metadata or () if key == KEY]
        if not found:
            raise Unauthenticated(f"this server needs a token: {HOW}")
        scheme, _, token = str(found[0]).partition(" ")
        if len(found) > 1 or scheme.lower() != "bearer":
            raise Unauthenticated(f"the authorization metadata is not one bearer token: {HOW}")
        client = self.tokens.find(token.strip())
        if client is None:
            raise Unauthenticated("this server does not know the token")
        return client


def check_allowed(client: Client, rpc: str) -> None:
    """Raises PermissionDenied when the client's token is not good for ``rpc``."""
    if client.rpcs is not None and rpc not in client.rpcs:
        allowed = ", ".join(sorted(client.rpcs)) or "nothing"
        raise PermissionDenied(
            f"the token of {client.name!r} is not good for {rpc}; it is for {allowed}", rpc=rpc
        )
