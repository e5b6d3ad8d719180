"""The command `kandinsky`.

Exit codes: 0 done; 1 the call or a file failed, one sentence on stderr says why; 2 wrong usage;
130 interrupted (the server is told, and stops).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from kandinsky_client.cli import commands
from kandinsky_client.cli.connection_flags import EPILOG, connected
from kandinsky_client.cli.failures import sentence
from kandinsky_client.cli.plugins import add_plugins
from kandinsky_client.cli.session import Session

DISTRIBUTION = "kandinsky-client"
app = typer.Typer(
    rich_markup_mode=None,  # its tables cut option names short on a terminal of 80 columns
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they hold the token
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
)
estimate = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
CALLS = (
    commands.prior,
    commands.interpolate,
    commands.decode,
    commands.img2img,
    commands.inpaint,
    commands.controlnet,
    commands.generate,
)


def show_version(value: bool) -> None:
    """Prints the version of this package and ends."""
    if value:
        typer.echo(f"kandinsky {version(DISTRIBUTION)}")
        raise typer.Exit


def connect(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=show_version, help="Show the version and exit."),
    ] = False,
) -> None:
    """Leave the connection's options, which `connected` keeps, to the command."""


def ask_only(context: typer.Context) -> None:
    """Make the command that follows a question."""
    context.obj.estimating = True


app.callback(help="Make pictures with a Kandinsky 2.2 server.")(connected(connect, hidden=False))
estimate.callback(help="Ask what a command would cost, in place of running it.")(connected(ask_only))
for call in CALLS:
    app.command(epilog=EPILOG)(connected(call))
    estimate.command(epilog=EPILOG)(connected(call))
app.command(epilog=EPILOG)(connected(commands.info))
app.command(epilog=EPILOG)(connected(commands.health))
app.add_typer(estimate, name="estimate")
add_plugins(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; raises SystemExit with one of the exit codes above."""
    try:
        app(args=arguments, prog_name="kandinsky", obj=Session())
    except Exception as error:
        message = sentence(error)
        if message is None:
            raise
        print(f"kandinsky: {message}", file=sys.stderr)
        sys.exit(1)
