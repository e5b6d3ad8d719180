"""Bearer tokens: a file of them, and whom each one stands for."""

from __future__ import annotations

import hmac
import re
import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from kandinsky_server.security.files import read_small
from kandinsky_server.security.watched import Watched

Name = Annotated[str, StringConstraints(pattern=re.compile(r"\A[A-Za-z0-9._-]{1,64}\Z"))]
Rpc = Literal[
    "Prior",
    "Interpolate",
    "Decode",
    "Img2Img",
    "Inpaint",
    "ControlNet",
    "Generate",
    "GetServerInfo",
    "Estimate",
    "ServerReflectionInfo",
]


@dataclass(frozen=True)
class Client:
    """Who calls. ``share`` is how much of the queue it may hold, None for the server's default; ``rpcs`` is what it may
    call, None for everything.
    """

    name: str = ""
    share: float | None = None
    rpcs: frozenset[str] | None = None


class Entry(BaseModel):
    """One table of the file; its name is the client's."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(pattern=re.compile(r"\A[\x21-\x7e]{16,}\Z"))
    share: float | None = Field(None, gt=0, le=1)
    rpcs: frozenset[Rpc] | None = None


_FILE = TypeAdapter(dict[Name, Entry])


class TokenFile:
    """The clients of a TOML file, one table each, read again when it changes::

        [gallery]
        token = "..."               # what it sends as "authorization: Bearer ..."; 16 characters or more
        share = 0.5                 # of --queue-size; default --default-share, or 1 for a file's only client
        rpcs = ["Prior", "Decode"]  # default: all

    Tokens are kept as SHA-256 digests only: equally long to compare, and of no use in a memory dump or a traceback.

    Raises:
        ValueError: the file cannot be used; the message never quotes a token.
    """

    def __init__(self, path: Path) -> None:
        self._watched = Watched([path], lambda: read_tokens(path))

    def find(self, token: str) -> Client | None:
        """The client whose token this is. Takes equally long for every token, known or not."""
        digest, found = sha256(token.encode()).digest(), None
        for known, client in self._watched.current():
            if hmac.compare_digest(known, digest):
                found = client
        return found


def read_tokens(path: Path) -> list[tuple[bytes, Client]]:
    """The digest of each client's token.

    Raises:
        ValueError: as `TokenFile`.
    """
    try:
        entries = _FILE.validate_python(tomllib.loads(read_small(path).decode()))
    except ValidationError as error:
        # pydantic's own text would quote the file, tokens included.
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ValueError(f"{path}: {'; '.join(problems)}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    if not entries:
        raise ValueError(f"{path} names no client, so nobody could call")
    if len({entry.token for entry in entries.values()}) < len(entries):
        raise ValueError(f"{path} gives one token to two clients")
    alone = 1.0 if len(entries) == 1 else None
    return [
        (sha256(entry.token.encode()).digest(), Client(name, entry.share or alone, entry.rpcs))
        for name, entry in entries.items()
    ]
