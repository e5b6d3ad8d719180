"""Where results go, and what is said about them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from kandinsky_client.cli.flags import Encoding
from kandinsky_client.formats import SUFFIX_FORMATS
from kandinsky_client.result_sets import EmbeddingSet, ImageSet
from kandinsky_client.results import EmbeddingResult, ImageResult

SUFFIXES = {Encoding.png: ".png", Encoding.jpeg: ".jpg", Encoding.webp: ".webp"}


def image_format(output: Path, asked: Encoding | None) -> Encoding:
    """Settles the encoding of `--output` and `--format`.

    Raises:
        typer.BadParameter: They contradict each other, or the suffix is not an image's.
    """
    if _is_folder(output):
        return asked or Encoding.png
    if output.suffix.lower() not in SUFFIX_FORMATS:
        raise typer.BadParameter(f"--output {output}: images end in {', '.join(SUFFIX_FORMATS)}")
    named = Encoding(SUFFIX_FORMATS[output.suffix.lower()])
    if asked not in (None, named):
        raise typer.BadParameter(f"--format {asked} contradicts --output {output}")
    return named


def save_images(images: ImageSet, output: Path, stem: str, encoding: Encoding, *, as_json: bool) -> None:
    """Writes images, numbered when there are several; tells where, and what was replaced."""
    one_file = output / f"{stem}{SUFFIXES[encoding]}" if _is_folder(output) else output
    said = []
    for result in images:
        numbered = one_file.with_stem(f"{one_file.stem}-{result.index}")
        path = numbered if len(images) > 1 else one_file
        said.append(_saved(result.save, path) | _facts(result))
    _warn_of_cuts(images.embeddings)
    _tell(said, images.seed, as_json=as_json)


def save_embeddings(embeddings: EmbeddingSet, output: Path, stem: str, *, as_json: bool) -> None:
    """Writes all embeddings to one file; tells where, and what was replaced."""
    file = output / f"{stem}.safetensors" if _is_folder(output) else output
    saved = _saved(embeddings.save, file)
    said = [saved | _facts(result) for result in embeddings]
    _warn_of_cuts(embeddings)
    _tell(said, embeddings.seed, as_json=as_json)


def show(value: dict[str, Any], *, as_json: bool) -> None:
    """Prints facts, one a line, or as JSON."""
    if as_json:
        typer.echo(json.dumps(value, indent=2))
        return
    for name, fact in value.items():
        typer.echo(f"{name}: {fact}")


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not output.suffix


def _saved(save: Callable[[Path], None], path: Path) -> dict[str, Any]:
    replaced = path.exists()
    save(path)
    return {"path": str(path), "replaced": replaced}


def _facts(result: EmbeddingResult | ImageResult) -> dict[str, Any]:
    return {"index": result.index, "seed": result.seed, "receipt": result.receipt.to_dict()}


def _tell(said: list[dict[str, Any]], seed: int, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"seed": seed, "results": said}, indent=2))
        return
    for path, replaced in dict.fromkeys((result["path"], result["replaced"]) for result in said):
        typer.echo(f"wrote {path}{' (replaced the file that was there)' if replaced else ''}")
    typer.echo(f"seed {seed}")


def _warn_of_cuts(embeddings: Iterable[EmbeddingResult]) -> None:
    cuts = dict.fromkeys(text for result in embeddings for text in result.truncated_texts)
    for cut in cuts:
        print(f"kandinsky: {cut.field} is too long, this was ignored: {cut.removed_text}", file=sys.stderr)
