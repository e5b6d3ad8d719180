"""How to reach the server: options that stand before a command or after it, and their environment variables.

The variables start with KANDINSKY_CLIENT_, which no setting of `kandinsky serve` does; KANDINSKY_TARGET is older.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from kandinsky_client.cli.files import PEM, named_file

EPILOG = "The options of `kandinsky --help` that lead to the server may stand here too."


def _timeout(value: float | None) -> float | None:
    if value is not None and not value > 0:
        raise typer.BadParameter(f"must be above 0 seconds, or inf for no limit; not {value}")
    return value


@dataclass(frozen=True)
class ConnectionFlags:
    """What the user said; None is left to the environment, and then to the client's default."""

    target: Annotated[
        str | None,
        typer.Option(help="The server's address, else KANDINSKY_TARGET, else localhost:50051."),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(callback=_timeout, help="Seconds for a call, retries included. Default: no limit."),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            callback=named_file,
            help="A file that holds the bearer token, else KANDINSKY_CLIENT_TOKEN (the token itself), "
            "else KANDINSKY_CLIENT_TOKEN_FILE.",
        ),
    ] = None
    tls: Annotated[
        bool | None,
        typer.Option("--tls", help="Use TLS with the system's roots, else KANDINSKY_CLIENT_TLS=1."),
    ] = None
    root_certificates: Annotated[Path | None, PEM("KANDINSKY_CLIENT_ROOT_CERTIFICATES")] = None
    client_certificate: Annotated[Path | None, PEM("KANDINSKY_CLIENT_CERTIFICATE")] = None
    client_key: Annotated[Path | None, PEM("KANDINSKY_CLIENT_KEY")] = None

    def over(self, other: ConnectionFlags) -> ConnectionFlags:
        """Returns these, and `other` where these are unset."""
        merged = {f.name: getattr(self, f.name) for f in fields(self)}
        return ConnectionFlags(
            **{name: getattr(other, name) if own is None else own for name, own in merged.items()}
        )

    def with_environment(self) -> ConnectionFlags:
        """Returns these, and the environment's where these are unset; the token stays where it is."""
        said = os.environ.get
        return self.over(
            ConnectionFlags(
                target=said("KANDINSKY_TARGET") or None,
                token_file=_path(said("KANDINSKY_CLIENT_TOKEN_FILE")),
                tls=(said("KANDINSKY_CLIENT_TLS") or "0").lower() in ("1", "true", "yes", "on"),
                root_certificates=_path(said("KANDINSKY_CLIENT_ROOT_CERTIFICATES")),
                client_certificate=_path(said("KANDINSKY_CLIENT_CERTIFICATE")),
                client_key=_path(said("KANDINSKY_CLIENT_KEY")),
            )
        )


def connected(command: Callable[..., None], *, hidden: bool = True) -> Callable[..., None]:
    """Lets a command take the connection's options, over those that were said before it.

    Args:
        command: Takes a typer context whose `obj` is the `Session`, as `context`.
        hidden: Whether its help leaves them out.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=given.default, annotation=hints[name])
        for name, given in inspect.signature(command).parameters.items()
    ]
    shared = [_parameter(name, hint, hidden) for name, hint in _hints().items()]

    def run(**values: Any) -> None:
        flags = ConnectionFlags(**{parameter.name: values.pop(parameter.name) for parameter in shared})
        context: typer.Context = values["context"]
        context.obj.flags = flags.over(context.obj.flags)
        command(**values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
    setattr(run, "__signature__", inspect.Signature([*own, *shared]))  # noqa: B010 (unknown to mypy)
    return run


def _hints() -> dict[str, Any]:
    return get_type_hints(ConnectionFlags, include_extras=True)


def _parameter(name: str, hint: Any, hidden: bool) -> inspect.Parameter:
    assert get_origin(hint) is Annotated
    kind, option = get_args(hint)
    shown = copy.copy(option)
    shown.hidden = hidden
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, shown]
    )


def _path(word: str | None) -> Path | None:
    return Path(word) if word else None
