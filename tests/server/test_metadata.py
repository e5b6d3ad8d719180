"""Metadata never stops a picture, and what alpha, orientation and a mask that does nothing come to."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_client import EmbeddingPair, Kandinsky, OverloadedError
from kandinsky_server.testing.running import RunningServer
from PIL import ExifTags, Image

from tests.support.hostile import chunk, with_chunk
from tests.support.raw import Answer, Raw, connected, good_requests, pair, picture, sampling

PNG, JPEG = picture(), picture(kind="JPEG")
PROFILE = os.urandom(3 * 2**20)


def text(size: int) -> bytes:
    return zlib.compress(b"a" * size)


def early(kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk, before its pixels."""
    return PNG[:33] + chunk(kind, data) + PNG[33:]


def segments(*marked: tuple[int, bytes]) -> bytes:
    """A JPEG with more segments, at its beginning."""
    made = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in marked
    )
    return JPEG[:2] + made + JPEG[2:]


def profile(data: bytes) -> bytes:
    parts = [data[place : place + 65000] for place in range(0, len(data), 65000)]
    headers = (b"ICC_PROFILE\0" + bytes([k + 1, len(parts)]) for k in range(len(parts)))
    return segments(*((0xE2, header + part) for header, part in zip(headers, parts, strict=True)))


METADATA = {
    "PNG, large profile": early(b"iCCP", b"p\0\0" + zlib.compress(PROFILE)),
    "PNG, large profile behind": with_chunk(PNG, b"iCCP", b"p\0\0" + zlib.compress(PROFILE)),
    "PNG, empty profile": early(b"iCCP", b""),
    "PNG, empty profile behind": with_chunk(PNG, b"iCCP", b""),
    "PNG, profile of nothing": early(b"iCCP", b"p\0\0hello"),
    "PNG, large text": early(b"zTXt", b"k\0\0" + text(3 * 2**20)),
    "PNG, large international text": early(b"iTXt", b"k\0\1\0\0\0" + text(3 * 2**20)),
    "PNG, many texts": PNG[:33] + chunk(b"zTXt", b"k\0\0" + text(2**20)) * 70 + PNG[33:],
    **{
        f"PNG, empty {kind.decode()}": early(kind, b"")
        for kind in (b"pHYs", b"gAMA", b"sRGB", b"cHRM", b"eXIf")
    },
    "JPEG, large profile": profile(PROFILE),
    "JPEG, empty profile": segments((0xE2, b"ICC_PROFILE\0")),
    "JPEG, short JFIF": segments((0xE0, b"JFIF\0")),
    "JPEG, short Adobe": segments((0xEE, b"Adobe")),
    "JPEG, short Photoshop": segments((0xED, b"Photoshop 3.0\x008BIM\x04")),
    "WebP, large profile": picture(kind="WEBP", icc_profile=PROFILE),
}


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


def repainted(raw: Raw, data: bytes) -> Answer:
    request = image_pb2.Img2ImgRequest(
        embeddings=[pair()], image=pb.InputImage(data=data), strength=1, sampling=sampling(step_count=2)
    )
    return raw.call("Img2Img", request)


@pytest.mark.parametrize("case", METADATA)
def test_metadata_stops_no_picture(raw: Raw, case: str) -> None:
    answer = repainted(raw, METADATA[case])
    assert answer.code == StatusCode.OK, answer
    plain = {"P": PNG, "J": JPEG, "W": picture(kind="WEBP")}[case[0]]
    assert answer.images[0].data == repainted(raw, plain).images[0].data


def test_what_is_cut_short_or_moves_is_refused_whatever_it_carries(raw: Raw) -> None:
    cut = METADATA["PNG, large profile behind"][:2000]
    assert repainted(raw, cut).reason == "INVALID_IMAGE"
    moving = picture(save_all=True, append_images=[Image.new("RGB", (64, 64))])
    answer = repainted(raw, moving[:33] + chunk(b"iCCP", b"") + moving[33:])
    assert "animated" in answer.violations["image"]


def test_orientation_counts_beside_metadata_that_does_not(raw: Raw) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = picture(64, 32, exif=exif)
    with_profile = turned[:33] + chunk(b"iCCP", b"") + turned[33:]
    assert repainted(raw, with_profile).images[0].data == repainted(raw, turned).images[0].data
    assert repainted(raw, turned).images[0].data != repainted(raw, picture(64, 32)).images[0].data


def test_a_photo_is_the_same_by_path_and_as_a_pil_image(client: Kandinsky) -> None:
    embedding = EmbeddingPair.from_message(pair())
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[ExifTags.Base.Orientation] = orientation
        data = picture(96, 64, "JPEG", exif=exif, icc_profile=PROFILE)
        options: dict[str, Any] = {"strength": 0.5, "step_count": 2, "seed": 1}
        by_bytes = client.img2img(embedding, data, **options)[0]
        by_pil = client.img2img(embedding, Image.open(io.BytesIO(data)), **options)[0]
        assert np.array_equal(by_bytes.array, by_pil.array)


def inpaint(raw: Raw, mask: Image.Image, method: str = "Inpaint") -> Answer:
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    request = good_requests()[method]
    request.mask.data = buffer.getvalue()
    if method == "Generate":
        request.image.data = PNG
    return raw.call(method, request)


def mask_of(mode: str, *values: object) -> Image.Image:
    """Left half of the first value, right half of the last."""
    mask = Image.new(mode, (64, 64), values[0])  # type: ignore[arg-type]
    mask.paste(values[-1], (32, 0, 64, 64))  # type: ignore[arg-type]
    return mask


@pytest.mark.parametrize("method", ["Inpaint", "Generate"])
def test_a_mask_that_does_nothing_or_all_is_told(raw: Raw, method: str) -> None:
    for mask, words in [
        (mask_of("L", 0), "repaints nothing"),
        (mask_of("L", 127, 60), "repaints nothing"),
        (mask_of("L", 255), "repaints everything"),
        (mask_of("RGB", (200, 200, 200)), "repaints everything"),
        (mask_of("L", 0, 255), ""),
    ]:
        answer = inpaint(raw, mask, method)
        assert answer.code == StatusCode.OK, answer
        warnings = answer.events[-1].completed.warnings
        assert len(warnings) == bool(words)
        assert words in "".join(warnings)


def test_a_speck_between_latents_is_told(raw: Raw) -> None:
    speck = mask_of("L", 0)
    speck.putpixel((3, 3), 255)
    assert "smaller than a latent" in inpaint(raw, speck).events[-1].completed.warnings[0]


def test_other_calls_have_no_warnings(raw: Raw) -> None:
    for method, request in good_requests().items():
        if method != "Inpaint":
            assert not raw.call(method, request).events[-1].completed.warnings


def test_a_mask_in_the_alpha_channel_is_refused_and_one_in_colours_taken(raw: Raw) -> None:
    black, white, clear, glass = (0, 0, 0, 255), (255, 255, 255, 255), (0, 0, 0, 0), (255, 255, 255, 0)
    for mask in (
        mask_of("RGBA", black, clear),
        mask_of("RGBA", white, glass),
        mask_of("LA", (0, 255), (0, 0)),
    ):
        answer = inpaint(raw, mask)
        assert answer.reason == "INVALID_IMAGE", answer
        assert "without alpha" in answer.violations["mask"]
        assert inpaint(raw, mask.getchannel("A")).code == StatusCode.OK
    for mask in (mask_of("RGBA", black, white), mask_of("RGBA", clear, white), mask_of("RGBA", black, glass)):
        answer = inpaint(raw, mask)
        assert answer.code == StatusCode.OK
        assert not answer.events[-1].completed.warnings
        assert answer.images[0].data == inpaint(raw, mask_of("L", 0, 255)).images[0].data
    assert inpaint(raw, mask_of("RGBA", black)).events[-1].completed.warnings


@pytest.mark.slow
def test_a_photo_too_large_for_a_message_says_what_to_send(tiny_model: object) -> None:
    with RunningServer(tiny_model, max_message_bytes=200_000) as small, small.client(retries=0) as client:  # type: ignore[arg-type]
        embedding = EmbeddingPair.from_message(pair())
        data = picture(300, 300, "JPEG", quality=80)
        image = Image.open(io.BytesIO(data))
        with pytest.raises(OverloadedError, match="send the file") as refused:
            client.img2img(embedding, image, strength=1, step_count=1)
        assert "200000 are allowed" in str(refused.value)
        assert client.img2img(embedding, data, strength=1, step_count=1)
