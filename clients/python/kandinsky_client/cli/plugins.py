"""Commands of other packages, found by the entry-point group `kandinsky.commands`, loaded when they run.

An entry point names a typer app, a click command, or a function for typer. A command whose package needs an
extra that is not installed says which; any other failure to import is shown as it is.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

GROUP = "kandinsky.commands"
OWN_DISTRIBUTION = "kandinsky-grpc"
SUMMARIES = {"serve": "Serve a model over gRPC.", "backends": "List the backends, and check them here."}


class MissingExtraError(Exception):
    """A command's package needs something that the base install lacks."""


def add_plugins(app: typer.Typer) -> None:
    """Adds a command for each entry point; none is loaded."""
    for entry_point in sorted(entry_points(group=GROUP), key=lambda found: found.name):
        _add(app, entry_point)


def _add(app: typer.Typer, entry_point: EntryPoint) -> None:
    package = entry_point.dist.name if entry_point.dist else "another package"

    # All that follows the name is the plugin's own to read, `--help` too.
    @app.command(
        entry_point.name,
        help=SUMMARIES.get(entry_point.name, f"A command of {package}."),
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    )
    def run(context: typer.Context) -> None:
        try:
            _runnable(entry_point.load())(args=context.args, prog_name=context.command_path)
        except ModuleNotFoundError as error:
            # A module of our own that is missing is a fault, and nothing that pip could mend.
            if package != OWN_DISTRIBUTION or (error.name or "").startswith("kandinsky_"):
                raise
            raise MissingExtraError(
                f"`kandinsky {entry_point.name}` needs {error.name}: pip install 'kandinsky-grpc[server]'"
            ) from error


def _runnable(loaded: Any) -> Any:
    """Makes one callable, `(args, prog_name)`, of the three kinds."""
    if isinstance(loaded, typer.Typer) or hasattr(loaded, "make_context"):
        return loaded
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(loaded)
    return app
