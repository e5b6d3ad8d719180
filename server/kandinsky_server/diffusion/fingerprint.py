"""A hash over a stage's config and weights, cheap enough for 10 GB in about a second."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK_BYTES = 64 * 1024
BLOCK_COUNT = 32
"""Blocks read from each weight file, spread evenly; the first holds the safetensors header."""

WEIGHT_SUFFIXES = {".safetensors", ".bin"}
CONFIG_SUFFIXES = {".json", ".txt"}


def fingerprint(directory: Path) -> str:
    """Hashes every config file whole, and of every weight file its size and sampled blocks.

    File names count by their path within ``directory``, so the same checkpoint has the same fingerprint anywhere.
    Returns 32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.suffix in WEIGHT_SUFFIXES:
            _add(digest, path.relative_to(directory), _samples(path))
        elif path.suffix in CONFIG_SUFFIXES:
            _add(digest, path.relative_to(directory), [path.read_bytes()])
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
