"""Where results go, and what is said about them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from kandinsky_client.cli.flags import Encoding
from kandinsky_client.formats import SUFFIX_FORMATS
from kandinsky_client.result_sets import Completed, EmbeddingSet, ImageSet
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


def image_file(output: Path, stem: str, encoding: Encoding) -> Path:
    """The file of one image; several are numbered after it."""
    return output / f"{stem}{SUFFIXES[encoding]}" if _is_folder(output) else output


def embedding_file(output: Path, stem: str) -> Path:
    """The file of all embeddings.

    Raises:
        typer.BadParameter: It has the suffix of something else.
    """
    if _is_folder(output):
        return output / f"{stem}.safetensors"
    if output.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"--output {output}: embeddings end in .safetensors")
    return output


def save_images(images: ImageSet, file: Path, prompts: Sequence[str | None], *, as_json: bool) -> None:
    """Writes images, numbered when there are several; tells where, and what was replaced.

    `prompts` are those of the embeddings they were made from, where the call made none itself.
    """
    said = []
    for result in images:
        numbered = file.with_stem(f"{file.stem}-{result.index}")
        path = numbered if len(images) > 1 else file
        prompt = prompts[result.source_index] if prompts else result.receipt.prompt
        said.append(_saved(result.save, path) | _facts(result, prompt))
    _warn_of_cuts(images.embeddings)
    _tell(said, images.completed, as_json=as_json)


def save_embeddings(embeddings: EmbeddingSet, file: Path, *, as_json: bool) -> None:
    """Writes all embeddings to one file; tells where, and what was replaced."""
    saved = _saved(embeddings.save, file)
    said = [saved | _facts(result, result.receipt.prompt) for result in embeddings]
    _warn_of_cuts(embeddings)
    _tell(said, embeddings.completed, as_json=as_json)


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


def _facts(result: EmbeddingResult | ImageResult, prompt: str | None) -> dict[str, Any]:
    """What a result is, and what it was made for: its prompt, null where that is not known, and its place there."""
    return {
        "index": result.index,
        "source_index": result.source_index,
        "prompt": prompt,
        "seed": result.seed,
        "receipt": result.receipt.to_dict(),
    }


def _tell(said: list[dict[str, Any]], completed: Completed, *, as_json: bool) -> None:
    for warning in completed.warnings:
        print(f"kandinsky: {warning}", file=sys.stderr)
    if as_json:
        whole = {"seed": completed.seed, "warnings": list(completed.warnings), "results": said}
        typer.echo(json.dumps(whole, indent=2))
        return
    for path, replaced in dict.fromkeys((result["path"], result["replaced"]) for result in said):
        typer.echo(f"wrote {path}{' (replaced the file that was there)' if replaced else ''}")
    typer.echo(f"seed {completed.seed}")


def _warn_of_cuts(embeddings: Iterable[EmbeddingResult]) -> None:
    cuts = dict.fromkeys(text for result in embeddings for text in result.truncated_texts)
    for cut in cuts:
        print(f"kandinsky: {cut.field} is too long, this was ignored: {cut.removed_text}", file=sys.stderr)
