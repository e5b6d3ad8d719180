"""`python -m benchmarks [names...]`: measures, prints one table, writes JSON. `python -m benchmarks gpu`: see `gpu/`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from kandinsky_backends.options import DTYPES
from kandinsky_server.checkpoints.source import TOY, Sources, resolve
from rich.console import Console

from benchmarks import (
    alike,
    backends,
    batched,
    cancel,
    chaos,
    device_share,
    estimate,
    orca,
    prompt,
    queue_jump,
    single,
    soak,
    start,
    throughput,
    warm_prior,
)
from benchmarks.capacity import measure as capacity
from benchmarks.figure import Figure
from benchmarks.machine import facts
from benchmarks.quiet import quieten
from benchmarks.report import print_table, summary, write_json
from benchmarks.setting import Setting

FIGURES: dict[str, Callable[[Setting], Iterator[Figure]]] = {
    "throughput": throughput.measure,
    "alike": alike.measure,
    "batched": batched.measure,
    "device_share": device_share.measure,
    "single": single.measure,
    "queue_jump": queue_jump.measure,
    "cancel": cancel.measure,
    "estimate": estimate.measure,
    "warm_prior": warm_prior.measure,
    "prompt": prompt.measure,
    "start": start.measure,
    "soak": soak.measure,
    "backends": backends.measure,
    "chaos": chaos.measure,
    "capacity": capacity.measure,
    "orca": orca.measure,
}


def main() -> None:
    """Measures what was asked for, one figure after the other; exits with 1 when a bar was not reached."""
    arguments = _arguments()
    # As after Ctrl-C, the servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    quieten()
    names = arguments.names or list(FIGURES)
    setting = Setting(
        _model_directory(arguments.model),
        arguments.backend,
        arguments.threads,
        arguments.quick,
        arguments.soak_requests,
        arguments.device,
        arguments.dtype,
        tuple(filter(None, arguments.backends.split(","))),
    )
    console, before, figures = Console(), facts(), list[Figure]()
    for name in names:
        console.print(f"measuring {name} ...", style="dim")
        for figure in FIGURES[name](setting):
            figures.append(figure)
            console.print(f"  {summary(figure)}", highlight=False, markup=False)
    print_table(figures, console)
    write_json(
        arguments.json, figures, {"machine": before, "setting": asdict(setting) | {"model": arguments.model}}
    )
    console.print(f"written to {arguments.json}", style="dim")
    sys.exit(any(figure.verdict == "fail" for figure in figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the server.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(FIGURES)}; default all")
    parser.add_argument("--backend", default="eager", help="of our server (default eager)")
    parser.add_argument(
        "--backends", default="", help="of figures that compare several, as A,B (default: each its own)"
    )
    parser.add_argument("--device", default="cpu", help="of either server (default cpu)")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32", help="of either server (default fp32)")
    parser.add_argument("--model", default=TOY, help="directory of stage folders (default: the toy model)")
    parser.add_argument("--threads", type=int, default=1, help="of each server's networks (default 1)")
    parser.add_argument("--soak-requests", type=int, default=10_000, help="of the soak (default 10000)")
    parser.add_argument("--quick", action="store_true", help="small and rough: to see that everything runs")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results.json"), help="where results go")
    arguments = parser.parse_args()
    for name in set(arguments.names) - set(FIGURES):
        parser.error(f"there is no figure {name!r}; there are {', '.join(FIGURES)}")
    return arguments


def _model_directory(model: str) -> Path:
    """The directory that holds the stage folders; the naive server needs it spelt out."""
    prior = resolve(model, Sources()).stages.get("prior")
    assert prior is not None, "the benchmarks need a checkpoint with a prior"
    return Path(prior).parent


if __name__ == "__main__":
    if sys.argv[1:2] == ["gpu"]:
        from benchmarks.gpu import run

        run.main(sys.argv[2:])
    else:
        main()
