"""Embeddings keep their bytes on the wire and in files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from kandinsky_client import (
    Embedding,
    EmbeddingFileError,
    EmbeddingPair,
    Kandinsky,
    Receipt,
    Timings,
    load_embeddings,
    save_embeddings,
)

RECEIPT = Receipt(
    rpc="Interpolate",
    seed=2**62,
    strength=0.0,
    versions={"torch": "2.6"},
    timings=Timings(0.25, 1.5, 1.75),
    weights=(0.5, 0.5),
)


def pair(value: float = 1.0, dtype: str = "f4") -> EmbeddingPair:
    positive = Embedding.from_array(np.full((1, 4), value, dtype), prior_fingerprint="abc")
    return EmbeddingPair(positive, Embedding.from_array(np.zeros(4, dtype), prior_fingerprint="abc"), RECEIPT)


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_a_pair_comes_back_from_its_file(tmp_path: Path, dtype: str) -> None:
    file = tmp_path / "new" / "cat.safetensors"
    pair(3.5, dtype).save(file)
    loaded = EmbeddingPair.load(file)
    assert loaded.positive == Embedding(np.full(4, 3.5, dtype).tobytes(), loaded.positive.dtype, (4,), "abc")
    assert loaded.positive.dtype == {"f4": "f32", "f2": "f16"}[dtype]
    assert loaded.receipt == RECEIPT
    assert safetensors.numpy.load_file(file)["positive"].shape == (1, 4)


def test_several_pairs_share_a_file(tmp_path: Path) -> None:
    save_embeddings(tmp_path / "a.safetensors", [pair(1), pair(2)])
    assert [p.positive.array[0] for p in load_embeddings(tmp_path / "a.safetensors")] == [1, 2]
    with pytest.raises(EmbeddingFileError, match="2 pairs"):
        EmbeddingPair.load(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="one prior"):
        save_embeddings(tmp_path / "b.safetensors", [pair(), Embedding.from_array(np.zeros(4))])


def test_results_of_prior_are_saved_as_they_are(client: Kandinsky, tmp_path: Path) -> None:
    made = client.prior("a cat", image_count=3)
    made.save(tmp_path / "cats.safetensors")
    assert load_embeddings(tmp_path / "cats.safetensors") == [result.embedding for result in made]


def test_bfloat16_is_read_and_widened(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 0.0, 3.0], np.float32)
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"positive": {"dtype": "BF16", "shape": [1, 4], "data_offsets": [0, 8]}}).encode()
    file = tmp_path / "bf16.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + data)
    loaded = EmbeddingPair.load(file)
    assert loaded == EmbeddingPair(Embedding(data, "bf16", (4,)))
    assert np.array_equal(loaded.positive.array, values)
    assert Embedding.from_message(loaded.positive.to_message()) == loaded.positive
    loaded.save(file)
    assert np.array_equal(EmbeddingPair.load(file).positive.array, values)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a tensor in sight", safetensors.numpy.save({"other": np.zeros(4)})],
    ids=["empty", "text", "other"],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(EmbeddingFileError, match=r"x\.safetensors"):
        load_embeddings(file)
    with pytest.raises(FileNotFoundError):
        load_embeddings(tmp_path / "missing.safetensors")


def test_bytes_must_fit_the_shape() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 8"):
        Embedding(b"\0" * 8, "f32", (4,))


def test_receipts_survive_json() -> None:
    assert Receipt.from_json(RECEIPT.to_json()) == RECEIPT
    assert Receipt.from_json('{"seed": "5", "of_the_future": 1}').seed == 5
    with pytest.raises(ValueError, match="not a receipt"):
        Receipt.from_json("nope")
