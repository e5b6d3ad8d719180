"""Embeddings of any kind in `.safetensors` files."""

from __future__ import annotations

from os import PathLike

from kandinsky_client.embeddings import load_embedding, load_embeddings, write_pairs
from kandinsky_client.inputs import EmbeddingsLike, as_pairs

__all__ = ["load_embedding", "load_embeddings", "save_embeddings"]


def save_embeddings(path: str | PathLike[str], embeddings: EmbeddingsLike) -> None:
    """Writes embeddings, pairs or results of `prior` to a file; see `load_embeddings`.

    Raises:
        ValueError: None were given, or they differ in width, prior, or in having a negative embedding.
        OSError: The file cannot be written.
    """
    write_pairs(path, as_pairs(embeddings))
