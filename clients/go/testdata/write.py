"""Writes the embedding files here with the Python client, for the tests to compare with: `python write.py`.

Python's order of a map's keys, and of a file's metadata, is by chance; here it is tried until it is sorted, as Go's is.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
from kandinsky_client import Embedding, EmbeddingPair, Receipt, Timings, save_embeddings

FOLDER = Path(__file__).parent
RECEIPT = Receipt(
    rpc="Interpolate",
    seed=2**63 - 1,
    step_count=25,
    guidance_scale=4.0,
    strength=0.0,
    prompt='a "red" cube\\\n\t\x00\x1f\x7f é € 😀 <&> \u2028',
    negative_prompt="",
    versions={"diffusers": "0.42.1", "torch": "2.13.0"},
    timings=Timings(0.25, 12.5, 1.000001),
    paste_original=True,
    weights=(0.1, -0.0, 1e-5, 1e16, 123456789.125, 1 / 3, 5e-324, 1e100),
    prior_seed=0,
    prior_guidance_scale=1e22,
    condition_texts={0: "a", 2: "c", 10: "k"},
    input_digests={"conditions[1].image": "00ff"},
)


def embedding(start: float, dtype: str) -> Embedding:
    """Returns four numbers."""
    return Embedding.from_array(np.arange(start, start + 4, dtype=dtype) / 3, prior_fingerprint='pri"or é')


def is_sorted(path: Path) -> bool:
    """Whether all keys whose order is by chance are: of maps with numbers as keys, by number."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    receipts = [receipt or {} for receipt in json.loads(metadata["receipts"])]
    texts = [list(map(int, receipt.get("condition_texts", ()))) for receipt in receipts]
    keys = [list(metadata), *texts, *(list(receipt.get("versions", ())) for receipt in receipts)]
    return all(each == sorted(each) for each in keys)


FILES = {
    "pairs": [
        EmbeddingPair(embedding(0, "f4"), embedding(9, "f4"), RECEIPT),
        EmbeddingPair(embedding(4, "f4"), embedding(9, "f4")),
    ],
    "half": [EmbeddingPair(embedding(0, "f2"), None, Receipt(rpc="Prior"))],
    "mixed": [EmbeddingPair(embedding(0, "f2"), embedding(1, "f4"))],
}


def main(names: list[str]) -> int:
    """Writes one file, and fails if its keys are not sorted; or all files, each until they are."""
    for name in names:
        save_embeddings(FOLDER / f"{name}.safetensors", FILES[name])
        return not is_sorted(FOLDER / f"{name}.safetensors")
    for name in FILES:
        while subprocess.run([sys.executable, __file__, name]).returncode:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
