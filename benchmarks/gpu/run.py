"""The command `python -m benchmarks gpu`: part after part, each told at once and written down when it ends."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch
from kandinsky_backends.options import DTYPES
from rich.console import Console

from benchmarks import distributions
from benchmarks.figure import Figure
from benchmarks.gpu.plan import Plan, Stand, standing
from benchmarks.machine import facts
from benchmarks.quiet import quieten
from benchmarks.report import print_table, summary, write_json

PARTS = {
    "machine": 60,
    "steps": 360,
    "parity": 240,
    "load": 420,
    "share": 150,
    "stall": 120,
    "jump": 120,
    "memory": 150,
    "soak": 120,
    "start": 360,
    "offload": 180,
    "oom": 480,
    "fatal": 150,
}
"""Modules of this package by name, in the order they run in, and the seconds that each may take; a soak's own on top.

The server that several share is running from ``load`` to ``soak``.
"""

FAILED = "part that failed: "
"""Begins the name of a row that stands for a part's rows."""


def main(arguments: Sequence[str]) -> None:
    """Measures, and exits with 1 when a bar was not reached or a part failed; in a rehearsal no bar counts.

    Without a GPU it says so, unless --shrink or --device asks for the CPU.
    """
    options = _parser().parse_args(arguments)
    shrink = options.shrink
    device = options.device or ("cpu" if shrink and not torch.cuda.is_available() else "cuda")
    cuda = torch.device(device).type == "cuda"
    if cuda and not torch.cuda.is_available():
        print("There is no CUDA device here: nothing was measured. To rehearse: --shrink", flush=True)
        return
    distributions.ensure()
    quieten()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    plan = Plan(
        device,
        options.dtype or ("fp16" if cuda else "fp32"),
        options.backend or ("auto" if cuda else "eager"),
        options.sizes or ((64, 128) if shrink else (512, 768, 1024)),
        options.clients or ((2,) if shrink else (8, 16, 32, 64)),
        options.steps or (2 if shrink else 20),
        60 * options.soak_minutes,
        shrink,
        options.model or Path(tempfile.gettempdir()) / f"kandinsky-full-size{'-shrunk' * shrink}",
    )
    figures = _run(plan, options.parts, options.out)
    sys.exit(
        not shrink and any(figure.verdict == "fail" or figure.name.startswith(FAILED) for figure in figures)
    )


def _run(plan: Plan, parts: Sequence[str], out: Path) -> list[Figure]:
    figures: list[Figure] = []
    machine = {"machine": facts(), "plan": asdict(plan) | {"model": str(plan.model)}}
    with standing(plan) as stand:
        for part in parts:
            print(f"measuring {part} ...", flush=True)
            _measure(part, plan, stand, figures)
            write_json(out / "gpu.json", figures, machine)
            with (out / "gpu.txt").open("w") as file:
                print_table(figures, Console(file=file, width=160))
    print_table(figures, Console())
    print(f"written to {out / 'gpu.json'} and gpu.txt", flush=True)
    return figures


def _measure(part: str, plan: Plan, stand: Stand, figures: list[Figure]) -> None:
    """Adds a part's figures; what goes wrong in it is one more, and the next part goes on."""

    def tell(figure: Figure) -> None:
        figures.append(figure)
        print(f"  {summary(figure)}", flush=True)
        if figure.samples and figure.note:
            print(f"    {figure.note}", flush=True)

    began = time.monotonic()
    try:
        with _limit(PARTS[part] + (plan.soak_seconds if part == "soak" else 0)):
            for figure in import_module(f"benchmarks.gpu.{part}").measure(plan, stand):
                tell(figure)
    except Exception as error:
        traceback.print_exc()
        why = (str(error).strip().splitlines() or [""])[0]
        tell(Figure(f"{FAILED}{part}", None, [], "", plan.command(part), f"{type(error).__name__}: {why}"))
    gc.collect()
    if plan.cuda:
        with suppress(RuntimeError):  # of a device that a part has broken
            torch.cuda.empty_cache()
    print(f"  {part} took {time.monotonic() - began:.0f} s", flush=True)


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Interrupts what takes longer with TimeoutError."""

    def late(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"it took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks gpu", description="Measure the server on a GPU."
    )
    parser.add_argument("--device", help="torch device (default cuda; with --shrink and no GPU cpu)")
    parser.add_argument("--dtype", choices=DTYPES, help="of the networks (default fp16, on a CPU fp32)")
    parser.add_argument("--backend", help="of our server (default auto, on a CPU eager)")
    parser.add_argument("--sizes", type=_numbers, help="sides in pixels (default 512,768,1024)")
    parser.add_argument("--clients", type=_numbers, help="at once (default 8,16,32,64)")
    parser.add_argument("--steps", type=int, help="of an image under load (default 20)")
    parser.add_argument("--soak-minutes", type=float, default=5.0, help="(default 5)")
    parser.add_argument(
        "--parts",
        type=_parts,
        default=list(PARTS),
        help=f"of {','.join(PARTS)} (default all)",
    )
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder for gpu.json and gpu.txt")
    parser.add_argument("--model", type=Path, help="where the checkpoint is made, or was (default: in /tmp)")
    parser.add_argument("--shrink", action="store_true", help="tiny networks: to see that everything runs")
    return parser
