"""What `kandinsky health` shows."""

from __future__ import annotations

import typer

from kandinsky_client.cli.session import Session

TIMEOUT_SECONDS = 5.0


def show_health(session: Session, service: str) -> None:
    """Prints the health of a service; ends with code 1 unless it is serving.

    It waits for `--timeout`, or a few seconds: probes are patient by asking again.
    """
    with session.client() as client:
        health = client.health(service, timeout=session.flags.timeout or TIMEOUT_SECONDS)
    typer.echo(health)
    if health != "serving":
        raise typer.Exit(1)
