"""`python -m conformance.make_inputs` writes `inputs/`: small pictures, and files of embeddings, sound and broken."""

from __future__ import annotations

import json
import struct

import numpy as np
from PIL import Image, ImageDraw

from conformance.paths import INPUTS

SIDE_PX = 64
WIDTH = 96
"""Of the toy model's embeddings."""
RECEIPT = {
    "rpc": "Prior",
    "seed": "9007199254740991",
    "step_count": 25,
    "guidance_scale": 4.0,
    "prompt": 'grüner "Ball" 🟢 </x>',
    "negative_prompt": "",
    "stage": "prior",
    "fingerprint": "abc",
    "versions": {"server": "0.1.0"},
    "timings": {"queued": "0s", "denoising": "0.123456789s", "total": "1.500s"},
    "weights": [0.1, 1.0, 1e-07, -3.0],
    "a_field_of_a_later_version": [1, 2],
}


def write_pictures() -> None:
    """A picture, a mask whose left half is white, and a depth hint."""
    slope = np.linspace(0, 255, SIDE_PX).astype(np.uint8)
    picture = Image.fromarray(np.stack([np.tile(slope, (SIDE_PX, 1))] * 3, axis=-1))
    ImageDraw.Draw(picture).rectangle((16, 16, 47, 47), fill=(200, 30, 30))
    picture.save(INPUTS / "picture.png")
    picture.save(INPUTS / "picture.jpg", quality=90)
    mask = Image.new("L", (SIDE_PX, SIDE_PX), 0)
    ImageDraw.Draw(mask).rectangle((0, 0, SIDE_PX // 2 - 1, SIDE_PX), fill=255)
    mask.save(INPUTS / "mask.png")
    Image.new("L", (SIDE_PX, SIDE_PX), 255).save(INPUTS / "white.png")
    Image.fromarray(np.tile(slope[:, None], (1, SIDE_PX))).save(INPUTS / "hint.png")


def write_embeddings() -> None:
    """By hand, since no library writes all of them."""
    values = np.linspace(-1, 1, 2 * WIDTH, dtype="<f4").reshape(2, WIDTH)
    one = {"positive": ("F32", values[:1]), "negative": ("F32", -values[:1])}
    upper = (values.view("<u4") >> 16).astype("<u2")
    both = {"positive": ("F32", values), "negative": ("F32", -values)}
    _write("f32", both, {"prior_fingerprint": "abc"})
    _write("f32_one", one)
    _write("with_receipt", one, {"prior_fingerprint": "abc", "receipts": json.dumps([RECEIPT])})
    _write("f16", {"positive": ("F16", values.astype("<f2"))}, {"prior_fingerprint": "abc"})
    _write("bf16", {"positive": ("BF16", upper)})
    _write("f64", {"positive": ("F64", values.astype("<f8"))})
    _write("one_row", {"positive": ("F32", values[0])})
    _write("no_positive", {"embedding": ("F32", values)})
    _write("integers", {"positive": ("I64", values.astype("<i8"))})
    _write("unequal_rows", {"positive": ("F32", values), "negative": ("F32", values[:1])})
    _write("three_dimensions", {"positive": ("F32", values[None])})
    _write("receipts_of_another_number", both, {"receipts": "[null]"})
    _write("receipts_no_json", both, {"receipts": "{"})
    whole = (INPUTS / "f32.safetensors").read_bytes()
    (INPUTS / "cut_off.safetensors").write_bytes(whole[:-1])
    (INPUTS / "longer.safetensors").write_bytes(whole + b"\0")
    (INPUTS / "no_header.safetensors").write_bytes(struct.pack("<Q", 2**40) + whole[8:])
    (INPUTS / "empty.safetensors").write_bytes(b"")
    (INPUTS / "text.safetensors").write_text("these are no embeddings\n")


def _write(
    name: str, tensors: dict[str, tuple[str, np.ndarray]], metadata: dict[str, str] | None = None
) -> None:
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    data = b""
    for key, (dtype, values) in tensors.items():
        begin, data = len(data), data + values.tobytes()
        header[key] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (INPUTS / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    INPUTS.mkdir(exist_ok=True)
    write_pictures()
    write_embeddings()
