"""Starts the server with the toy model, calls every RPC once, writes the images and one contact sheet."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kandinsky_client import Kandinsky
from rich.console import Console
from rich.table import Table

from demo.calls import CALLS, Album
from demo.sheet import contact_sheet

FOLDER = Path(__file__).parent
IMAGES = FOLDER / "images"
SHEET = FOLDER / "contact-sheet.png"
READY = "serving on "


@contextmanager
def running_server() -> Iterator[str]:
    """A server on a free port, as its address; stopped with SIGTERM at the end."""
    kandinsky = str(Path(sys.executable).with_name("kandinsky"))
    command = [kandinsky, "serve", "--port", "0", "--metrics-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            lines = (line for line in process.stdout if line.startswith(READY))
            address = next(lines, "").removeprefix(READY).partition(",")[0].strip()
            if not address:
                raise SystemExit("The server did not start; run 'kandinsky serve' to see why.")
            yield address
        finally:
            process.terminate()


def timed(call: Callable[[], None]) -> float:
    """Seconds a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Runs the demo."""
    console = Console()
    with console.status("starting the server"), running_server() as address:
        console.print(f"server with the toy model on {address}")
        table = Table("RPC", "what", "seconds")
        with Kandinsky(address, timeout=300) as client:
            album = Album(client)
            for name, what, call in CALLS:
                seconds = timed(lambda call=call: call(album))  # type: ignore[misc]
                table.add_row(name, what, f"{seconds:.2f}")
    IMAGES.mkdir(exist_ok=True)
    for row in album.rows:
        for number, (_, image) in enumerate(row.tiles):
            image.save(IMAGES / f"{row.name}-{number}.png")
    contact_sheet(album.rows).save(SHEET)
    console.print(table)
    console.print(f"images: {IMAGES}\ncontact sheet: {SHEET}")


if __name__ == "__main__":
    main()
