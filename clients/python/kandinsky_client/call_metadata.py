"""gRPC metadata of calls, checked here: gRPC itself would only say "Invalid metadata", as the server's fault."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Metadata = Iterable[tuple[str, str | bytes]]

_KEY = re.compile(r"[a-z0-9_.-]+")
_VALUE = re.compile(r"[ -~]*")


def check_metadata(metadata: Metadata | None) -> tuple[tuple[str, str | bytes], ...]:
    """Returns the pairs; None is none.

    Raises:
        ValueError: A key or a value that HTTP/2 cannot carry.
        TypeError: Something else than pairs of texts, or of a text and bytes for keys that end in "-bin".
    """
    return tuple(_checked(pair) for pair in metadata or ())


def bearer(token: str | None) -> tuple[tuple[str, str], ...]:
    """Returns the metadata that shows a token; None and "" show none.

    Raises:
        ValueError: It has characters that HTTP/2 cannot carry, or white space at an end.
        TypeError: It is no text.
    """
    if token is None:
        return ()
    if not isinstance(token, str):
        raise TypeError(f"token must be a str, not {type(token).__name__}")
    if token != token.strip():
        raise ValueError("token starts or ends with white space, such as a file's last newline; strip() it")
    if not _VALUE.fullmatch(token):
        raise ValueError("token must be printable ASCII: it holds a control character or a non-ASCII one")
    return (("authorization", f"Bearer {token}"),) if token else ()


def _checked(pair: Any) -> tuple[str, str | bytes]:
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str)):
        raise TypeError("metadata must be pairs of texts, such as [('x-team', 'a')]")
    key, value = pair
    if not _KEY.fullmatch(key) or key.startswith("grpc-"):
        raise ValueError(
            f"metadata key {key!r} must be of a-z, 0-9, '-', '_' and '.', and not start with 'grpc-'"
        )
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise TypeError(f"metadata {key!r} must be bytes, not {type(value).__name__}")
    elif not isinstance(value, str):
        raise TypeError(f"metadata {key!r} must be a str, not {type(value).__name__}")
    elif not _VALUE.fullmatch(value):
        raise ValueError(f"metadata {key!r} must be printable ASCII; a key that ends in -bin takes any bytes")
    return key, value
