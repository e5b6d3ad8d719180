"""From what is typed to what the client takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from kandinsky_client.embedding_file import load_embedding, load_embeddings
from kandinsky_client.embeddings import EmbeddingPair
from kandinsky_client.inputs import ConditionLike


def read_pairs(files: Sequence[Path]) -> list[EmbeddingPair]:
    """Reads all pairs of all files, in order."""
    return [pair for file in files for pair in load_embeddings(file)]


def read_conditions(words: Sequence[str]) -> list[ConditionLike]:
    """Tells files from texts: a word that ends in .safetensors, or that names a file, is that file."""
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
    if path.suffix == ".safetensors":
        return load_embedding(path)
    return path if path.is_file() else word
