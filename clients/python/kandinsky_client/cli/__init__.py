"""The command `kandinsky`.

Exit codes: 0 done; 1 the call or a file failed, one sentence on stderr says why; 2 wrong usage;
130 interrupted (the server is told, and stops).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kandinsky_client.cli import commands
from kandinsky_client.cli.failures import sentence
from kandinsky_client.cli.plugins import add_plugins
from kandinsky_client.cli.session import Session

app = typer.Typer(
    help="Make pictures with a Kandinsky 2.2 server.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they hold the token
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
)
estimate = typer.Typer(help="Ask what a command would cost, in place of running it.", no_args_is_help=True)
CALLS = (
    commands.prior,
    commands.interpolate,
    commands.decode,
    commands.img2img,
    commands.inpaint,
    commands.controlnet,
    commands.generate,
)
PEM = typer.Option(dir_okay=False, exists=True, help="PEM file; implies --tls.")


@app.callback()
def connect(
    context: typer.Context,
    target: Annotated[
        str, typer.Option(envvar="KANDINSKY_TARGET", help="The server's address.")
    ] = "localhost:50051",
    timeout: Annotated[float | None, typer.Option(help="Seconds for a call, retries included.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="A file that holds the bearer token.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS with the system's roots.")] = False,
    root_certificates: Annotated[Path | None, PEM] = None,
    client_certificate: Annotated[Path | None, PEM] = None,
    client_key: Annotated[Path | None, PEM] = None,
) -> None:
    """Keep the connection's options for the command."""
    context.obj = Session(target, timeout, token_file, tls, root_certificates, client_certificate, client_key)


@estimate.callback()
def ask_only(context: typer.Context) -> None:
    """Make the command that follows a question."""
    context.obj.estimating = True


for call in CALLS:
    app.command()(call)
    estimate.command()(call)
app.command()(commands.info)
app.add_typer(estimate, name="estimate")
add_plugins(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; raises SystemExit with one of the exit codes above."""
    try:
        app(args=arguments)
    except Exception as error:
        message = sentence(error)
        if message is None:
            raise
        print(f"kandinsky: {message}", file=sys.stderr)
        sys.exit(1)
