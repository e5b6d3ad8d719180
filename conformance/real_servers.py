"""The real server with the toy model, in as many kinds as the cases need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from kandinsky_server.settings import Settings
from kandinsky_server.telemetry import logs
from kandinsky_server.testing.running import RunningServer, StartingServer

from conformance.certificates import Certificates

TOY = Path(str(files("kandinsky_toy")))
TOKENS = """
[all]
token = "token-of-everybody"
share = 0.75

[one]
token = "token-of-one-place"
share = 0.05

[only-info]
token = "token-of-info-only"
rpcs = ["GetServerInfo"]
"""


class RealServers:
    """Use as a context manager. Each kind is started when a case first asks for it, and runs until the end.

    | kind | what it is |
    |---|---|
    | real | the toy model with all its stages |
    | real-prior-only | no stage but the prior |
    | real-starting | still loading its model |
    | real-one-place | a queue of one place, and messages of 64 KiB at the most |
    | real-tokens | bearer tokens, and a queue of 20 places |
    | real-tls, real-mtls | TLS; TLS that asks for a client's certificate |

    Args:
        folder: For certificates and tokens.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificates = Certificates(folder / "certificates")
        self._running: dict[str, RunningServer] = {}
        self._stack = ExitStack()
        self._kinds: dict[str, Callable[[], RunningServer]] = {
            "real": lambda: RunningServer(TOY, **_SETTINGS),
            "real-prior-only": lambda: RunningServer(prior=str(TOY / "prior"), **_SETTINGS),
            "real-starting": lambda: StartingServer(TOY, **_SETTINGS),
            "real-one-place": lambda: RunningServer(TOY, queue_size=1, max_message_bytes=2**16, **_SETTINGS),
            "real-tokens": lambda: RunningServer(TOY, queue_size=20, tokens_file=self._tokens(), **_SETTINGS),
            "real-tls": lambda: RunningServer(TOY, **self._tls(), **_SETTINGS),
            "real-mtls": lambda: RunningServer(
                TOY, tls_client_ca=self.certificates.ca.certificate, **self._tls(), **_SETTINGS
            ),
        }

    def __enter__(self) -> Self:
        logs.configure(Settings(**_SETTINGS))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get(self, kind: str) -> RunningServer:
        """Returns the server of a kind, which listens; raises KeyError."""
        if kind not in self._running:
            self._running[kind] = self._stack.enter_context(self._kinds[kind]())
        return self._running[kind]

    def _tls(self) -> dict[str, Path]:
        return {
            "tls_certificate": self.certificates.server.certificate,
            "tls_key": self.certificates.server.key,
        }

    def _tokens(self) -> Path:
        file = self._folder / "tokens.toml"
        file.write_text(TOKENS, encoding="utf-8")
        file.chmod(0o600)
        return file


# Deterministic, since results of one request that share batches would depend on when each joined; without the cache of
# embeddings, so that each client's request is computed, and its events are the same.
_SETTINGS: dict[str, Any] = {"log_level": "error", "prior_cache_size": 0, "deterministic": True}
