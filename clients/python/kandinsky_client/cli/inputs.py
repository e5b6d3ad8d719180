"""From what is typed to what the client takes."""

from __future__ import annotations

from collections.abc import Sequence
from errno import ENOENT
from pathlib import Path

import typer

from kandinsky_client.embedding_file import load_embedding, load_embeddings
from kandinsky_client.embeddings import EmbeddingPair
from kandinsky_client.formats import SUFFIX_FORMATS
from kandinsky_client.inputs import ConditionLike

_PICTURES = {*SUFFIX_FORMATS, ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"}


def read_pairs(files: Sequence[Path]) -> list[EmbeddingPair]:
    """Reads all pairs of all files, in order."""
    return [pair for file in files for pair in load_embeddings(file)]


def read_conditions(words: Sequence[str]) -> list[ConditionLike]:
    """Tells files from texts: a word that names a file, or ends like a file's name, is that file.

    Raises:
        OSError: It is not there.
    """
    return [_condition(word) for word in words]


def read_weights(vectors: Sequence[str]) -> list[list[float]]:
    """Reads "0.3,0.7".

    Raises:
        typer.BadParameter: Something else.
    """
    try:
        return [[float(weight) for weight in vector.split(",")] for vector in vectors]
    except ValueError as error:
        raise typer.BadParameter(f"--weights are numbers with commas between: {error}") from error


def _condition(word: str) -> ConditionLike:
    path = Path(word)
    if path.suffix.lower() == ".safetensors":
        return load_embedding(path)
    if _is_file(path):
        return path
    if path.suffix.lower() in _PICTURES or word.startswith(("./", "../", "/", "~/")):
        raise FileNotFoundError(ENOENT, "no such file, and the name of one is no text to draw", word)
    return word


def _is_file(path: Path) -> bool:
    """A text may be longer than any file's name, which is an error to look for."""
    try:
        return path.is_file()
    except OSError:
        return False
