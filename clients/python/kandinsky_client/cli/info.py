"""What `kandinsky info` shows."""

from __future__ import annotations

import rich.box
import typer
from google.protobuf.json_format import MessageToJson
from rich.console import Console
from rich.table import Table

from kandinsky_client.cli.session import Session
from kandinsky_client.server_state import ServerInfo


def show_info(session: Session, *, as_json: bool) -> None:
    """Prints the server's own description, as tables or as protobuf's JSON."""
    with session.client() as client:
        info = client.info()
    if as_json:
        typer.echo(MessageToJson(info, preserving_proto_field_name=True))
        return
    typer.echo(f"model {info.model} on {info.device}; depth model: {info.depth_model or 'none'}")
    typer.echo(f"limits: {_line(info.limits)}")
    typer.echo(f"defaults: {_line(info.defaults)}")
    # Markup would take `[server]` in a hint for a style, and leave it out.
    Console(markup=False).print(_stages(info), _backends(info))


def _stages(info: ServerInfo) -> Table:
    table = _table("stage", "backend", "dtype", "scheduler", "native px", "step px", "fingerprint")
    for stage in info.stages:
        if stage.loaded:
            sizes = (str(stage.native_size_px or ""), str(stage.size_step_px or ""))
            facts = (stage.backend, stage.dtype, stage.scheduler, *sizes, stage.fingerprint[:12])
            table.add_row(stage.name, *facts)
        else:
            table.add_row(stage.name, "not loaded")
    return table


def _backends(info: ServerInfo) -> Table:
    table = _table("backend", "available", "why not", "what to do")
    for backend in info.backends:
        table.add_row(backend.name, "yes" if backend.available else "no", backend.reason, backend.hint)
    return table


def _table(*titles: str) -> Table:
    table = Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")  # the default, an ellipsis, would lose what it hides
    return table


def _line(message: object) -> str:
    return ", ".join(str(message).strip().split("\n"))
