"""`kandinsky download`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def download(
    directory: Annotated[Path, typer.Argument(help="Where to: it gets a folder for each stage.")],
    stage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=ID]",
            help="A stage to fetch, and from where: prior, or prior=owner/name, or prior=owner/name@revision with a "
            "branch, a tag or a commit. May be given again. Default: every stage of the model.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="The preset whose stages have no ID.")] = "kandinsky-2.2",
) -> None:
    """Fetch checkpoints from the hub, for servers without a way to it.

    Files that are there already are not fetched again. Then: kandinsky serve --model DIRECTORY. A depth model is --stage
    depth=ID.
    """
    from kandinsky_server.errors import CheckpointError

    try:
        for name, source in _chosen(stage or [], model).items():
            typer.echo(f"{name:12}{source}: {_fetch(source, directory / name) / 1e6:.1f} MB of weights")
    except CheckpointError as error:
        typer.echo(f"kandinsky: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"now: kandinsky serve --model {directory}")


def _chosen(stages: list[str], model: str) -> dict[str, str]:
    """The hub ids to fetch, by the names of their folders."""
    from kandinsky_server.checkpoints.source import DEPTH, PRESETS, STAGES

    preset = PRESETS.get(model)
    if preset is None:
        raise typer.BadParameter(
            f"there is no preset {model!r}; there is {', '.join(PRESETS)}", param_hint="--model"
        )
    chosen = {}
    for name, _, source in (each.partition("=") for each in stages or preset):
        if name not in (*STAGES, DEPTH):
            known = ", ".join((*STAGES, DEPTH))
            raise typer.BadParameter(f"there is no stage {name!r}; there are {known}", param_hint="--stage")
        chosen[name] = source or preset.get(name, "")
        if not chosen[name]:
            raise typer.BadParameter(f"{model} has no {name}: say {name}=owner/name", param_hint="--stage")
    return chosen


def _fetch(source: str, directory: Path) -> int:
    """Returns how many bytes of weights the directory then holds."""
    from kandinsky_server.checkpoints import hub
    from kandinsky_server.errors import CheckpointError

    sizes = [file.stat().st_size for file in hub.download(source, directory).rglob("*.safetensors")]
    if not sizes:
        raise CheckpointError(f"{source!r} has no weights as safetensors")
    return sum(sizes)
