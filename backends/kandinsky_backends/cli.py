"""``kandinsky backends``: what can be used here, and whether it gives the right answer."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Column, Table

from kandinsky_backends.base import BackendUnavailable
from kandinsky_backends.check import CheckResult, check, networks_to_check
from kandinsky_backends.device import pick_device, pick_dtype
from kandinsky_backends.options import AUTO, DTYPES, Attention, BackendOptions
from kandinsky_backends.precision import set_precision
from kandinsky_backends.registry import available_backends, get_backend
from kandinsky_backends.threads import set_threads

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # its tables cut option names short on a terminal of 80 columns
    help="Backends: what can be used here, and whether it is right.",
)

Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto: cuda where PyTorch has it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command("list")
def list_backends(device: Device = "auto", as_json: AsJson = False) -> None:
    """Lists every backend that is installed, and what the others need."""
    statuses = available_backends(BackendOptions(), _device(device))
    if as_json:
        typer.echo(json.dumps([asdict(status) for status in statuses], indent=2))
        return
    table = Table("backend", "available", "why not", "what to do")
    for status in statuses:
        table.add_row(status.name, "yes" if status.available else "no", status.reason, status.hint)
    _console().print(table)


@app.command("check")
def check_backend(
    name: Annotated[str, typer.Argument(help="A backend's name, or auto.")],
    model: Annotated[str | None, typer.Option(help="Directory or hub name of a model.")] = None,
    rows: Annotated[str, typer.Option(help="Row counts, separated by commas.")] = "1,2,4",
    device: Device = "auto",
    dtype: Annotated[
        str, typer.Option(help=f"Of the weights: {', '.join(DTYPES)}, or auto: fp16 on CUDA, else fp32.")
    ] = AUTO,
    tf32: Annotated[
        bool, typer.Option("--tf32", help="Let CUDA round factors of float32 products to TF32.")
    ] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: all usable cores.")] = None,
    attention: Annotated[Attention, typer.Option(help="Eager's attention.")] = Attention.SDPA,
    cache_dir: Annotated[Path | None, typer.Option(help="Where compiled networks are kept.")] = None,
    as_json: AsJson = False,
) -> None:
    """Runs a backend on each network of a model and compares it with eager; exits with 1 if any fails.

    Without a model: the server's own, or small random networks where the server is not installed.
    """
    place = _device(device)
    set_precision(tf32)
    options = BackendOptions(
        threads=set_threads(threads), attention=attention, cache_dir=cache_dir, dtype=_dtype(dtype, place)
    )
    counts = _row_counts(rows)
    _quiet_libraries()
    try:
        backend = get_backend(name, options, place)
        results = list(check(backend, networks_to_check(model, place, options.dtype), counts))
    except BackendUnavailable as error:
        _console(stderr=True).print(f"{error}", style="red", soft_wrap=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps([asdict(result) | {"passed": result.passed} for result in results], indent=2))
    else:
        _console().print(_table(backend.name, results))
    if not results or not all(result.passed for result in results):
        raise typer.Exit(1)


def _console(*, stderr: bool = False) -> Console:
    """Without markup, which would take ``[server]`` in an advice for a style and leave it out."""
    return Console(stderr=stderr, markup=False, highlight=False)


def _quiet_libraries() -> None:
    """Keeps the progress bars of libraries, and their advice to developers, off the terminal."""
    for name in ("diffusers.utils.logging", "transformers.utils.logging"):
        with suppress(ImportError):
            library = import_module(name)
            library.disable_progress_bar()
            library.set_verbosity_error()


def _table(name: str, results: list[CheckResult]) -> Table:
    """Narrow enough for 80 columns."""
    numbers = ("network", "rows", "differs", "allowed", "ms", "speed", "MiB")
    table = Table(
        *(Column(number, no_wrap=True) for number in numbers),
        "",
        title=f"{name} against eager",
        caption="ms: of one call; speed: eager's time over it; MiB: the most memory so far, eager's included",
    )
    for result in results:
        role = "" if result.role == result.stage else f" ({result.role})"
        start = (f"{result.stage}{role}", str(result.rows))
        if result.parity is None:
            table.add_row(*start, *[""] * 5, f"FAIL {result.error}")
            continue
        table.add_row(
            *start,
            f"{result.parity.difference:.1e}",
            f"{result.parity.tolerance:.0e}",
            f"{1000 * result.step_seconds:.1f}",
            f"{result.eager_seconds / result.step_seconds:.2f}x",
            f"{result.peak_memory_bytes / 2**20:.0f}",
            "pass" if result.passed else "FAIL",
        )
    return table


def _device(name: str) -> torch.device:
    try:
        return pick_device(name)
    except RuntimeError as error:
        raise typer.BadParameter(f"'{name}' is no device of PyTorch.", param_hint="--device") from error


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name not in (AUTO, *DTYPES):
        raise typer.BadParameter(f"'{name}' is none of {', '.join((AUTO, *DTYPES))}.", param_hint="--dtype")
    return DTYPES[pick_dtype(name, device)]


def _row_counts(text: str) -> list[int]:
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not like 1,2,4.", param_hint="--rows") from error
    if counts[0] < 1:
        raise typer.BadParameter("Row counts start at 1.", param_hint="--rows")
    return counts
