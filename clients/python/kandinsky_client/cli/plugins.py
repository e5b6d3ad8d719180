"""Commands of other packages, found by the entry-point group `kandinsky.commands`, loaded when they run.

An entry point names a typer app, a click command, or a function for typer. The server's commands say how to
install it where it is missing, or a package that it needs; any other failure to import is shown as it is.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

GROUP = "kandinsky.commands"
SERVER = "kandinsky-server"
"""The distribution that brings the commands of ``SUMMARIES``."""
SUMMARIES = {
    "serve": "Serve a model over gRPC.",
    "download": "Fetch a model from the hub.",
    "backends": "List the backends, and check them here.",
}
# All that follows the name is the plugin's own to read, `--help` too.
VERBATIM: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
}


class NotInstalledError(Exception):
    """A command needs a package that is not installed; the message says how to install it."""


def add_plugins(app: typer.Typer) -> None:
    """Adds a command for each entry point, none of which is loaded, and for each of the server's that is missing."""
    found: dict[str, EntryPoint] = {}
    for entry_point in entry_points(group=GROUP):
        found.setdefault(entry_point.name, entry_point)  # the first on `sys.path`, as for imports
    for name in sorted(found):
        _add(app, found[name])
    for name in SUMMARIES.keys() - found.keys():
        _add_missing(app, name)


def _add(app: typer.Typer, entry_point: EntryPoint) -> None:
    package = entry_point.dist.name if entry_point.dist else "another package"

    @app.command(
        entry_point.name, help=SUMMARIES.get(entry_point.name, f"A command of {package}."), **VERBATIM
    )
    def run(context: typer.Context) -> None:
        try:
            _runnable(entry_point.load())(args=context.args, prog_name=context.command_path)
        except ModuleNotFoundError as error:
            # A module of our own that is missing is a fault, and nothing that pip could mend.
            if package != SERVER or (error.name or "").startswith("kandinsky_"):
                raise
            raise NotInstalledError(
                f"`kandinsky {entry_point.name}` needs {error.name}: pip install {SERVER}"
            ) from error


def _add_missing(app: typer.Typer, name: str) -> None:
    @app.command(name, hidden=True, **VERBATIM)
    def run(context: typer.Context) -> None:
        raise NotInstalledError(f"`kandinsky {name}` comes with the server: pip install {SERVER}")


def _runnable(loaded: Any) -> Any:
    """Makes one callable, `(args, prog_name)`, of the three kinds."""
    if isinstance(loaded, typer.Typer) or hasattr(loaded, "make_context"):
        return loaded
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(loaded)
    return app
