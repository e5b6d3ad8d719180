"""A hash over a stage's config and weights, cheap enough for 10 GB in about a second."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

BLOCK_BYTES = 64 * 1024
BLOCK_COUNT = 32
"""Blocks read from each weight file, spread evenly; the first holds the safetensors header."""

WEIGHT_SUFFIXES = {".safetensors", ".bin"}


def fingerprint(directory: Path, files: Iterable[Path]) -> str:
    """Hashes ``files``, those that are loaded: configurations whole, and of weights their size and sampled blocks.

    File names count by their path within ``directory``, so the same checkpoint has the same fingerprint anywhere,
    whatever lies beside it and whether or not links lead to it. Returns 32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        content = _samples(path) if path.suffix in WEIGHT_SUFFIXES else [path.read_bytes()]
        _add(digest, path.relative_to(directory), content)
    return digest.hexdigest()[:32]


def _add(digest: hashlib._Hash, name: Path, blocks: list[bytes]) -> None:
    digest.update(name.as_posix().encode())
    for block in blocks:
        digest.update(len(block).to_bytes(8, "little"))
        digest.update(block)


def _samples(path: Path) -> list[bytes]:
    size = path.stat().st_size
    blocks = [size.to_bytes(8, "little")]
    with path.open("rb") as file:
        if size <= BLOCK_BYTES * BLOCK_COUNT:
            return [*blocks, file.read()]
        for index in range(BLOCK_COUNT):
            file.seek(index * (size - BLOCK_BYTES) // (BLOCK_COUNT - 1))
            blocks.append(file.read(BLOCK_BYTES))
    return blocks
