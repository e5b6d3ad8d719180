"""Errors in one helpful sentence."""

from __future__ import annotations

from kandinsky_client.cli.plugins import NotInstalledError


def sentence(error: Exception) -> str | None:
    """Returns what to tell the user; None for what only a traceback can tell."""
    if isinstance(error, NotInstalledError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    from kandinsky_client import errors  # imports grpc, which `--help` need not wait for

    if isinstance(error, errors.UnreachableError):
        return (
            f"{error.message}. "
            "Start one with `kandinsky serve`, or say where it is with --target or KANDINSKY_TARGET."
        )
    if isinstance(error, errors.AuthenticationError):
        return f"{error.message}. Give the token with --token-file or KANDINSKY_CLIENT_TOKEN."
    if isinstance(error, errors.TlsError):
        return error.message
    return str(error) if isinstance(error, errors.KandinskyError | ValueError) else None
