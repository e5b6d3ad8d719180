"""PIL images are sent as the values that they show, or refused with a way to scale them."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageOps
import pytest
from kandinsky_client import Kandinsky

from tests.client.fake_server import FakeServer
from tests.client.test_calls import PAIR

MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "CMYK", "YCbCr", "LAB", "HSV"]
PROFILE = os.urandom(3 * 2**20)
HALVES = np.repeat(np.array([[0] * 4 + [255] * 4], np.uint8), 6, axis=0)


def sent(client: Kandinsky, server: FakeServer, image: Any) -> PIL.Image.Image:
    client.img2img(PAIR, image)
    return PIL.Image.open(io.BytesIO(server.requests[-1].image.data))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_eight_bits_keeps_black_and_white(
    client: Kandinsky, server: FakeServer, mode: str
) -> None:
    grey = PIL.Image.fromarray(HALVES)
    if mode == "La":
        image = grey.convert("LA").convert("La")
    elif mode == "PA":
        image = grey.convert("P").convert("PA")
    elif mode == "LAB":
        image = PIL.Image.merge("LAB", [grey, *[PIL.Image.new("L", grey.size, 128)] * 2])
    else:
        image = grey.convert("RGB").convert("RGBA").convert(mode) if mode == "RGBa" else grey.convert(mode)
    shown = np.asarray(sent(client, server, image).convert("L")).astype(int)
    assert abs(shown - HALVES).max() <= 3


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_sixteen_bits_stay(client: Kandinsky, server: FakeServer, mode: str) -> None:
    values = np.array([[0, 255, 256, 40000, 65535]], np.uint16)
    stored = values.astype(">u2" if mode == "I;16B" else "<u2")
    image = PIL.Image.frombytes(mode, (5, 1), stored.tobytes())
    assert np.array_equal(np.asarray(sent(client, server, image)), values)


def test_an_integer_image_from_a_16_bit_png_is_16_bits(client: Kandinsky, server: FakeServer) -> None:
    """As older Pillows open one."""
    image = PIL.Image.fromarray(np.array([[0, 65535]], np.int32))
    image.format = "PNG"
    assert np.array_equal(np.asarray(sent(client, server, image)), [[0, 65535]])


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (np.array([[0, 0.5, 1]], np.float32), 1),
        (np.array([[0, 127.5, 255]], np.float32), 255),
        (np.array([[0, 32768, 65535]], np.int32), 65535),
        (np.array([[0, 128, 255]], np.int32), 255),
        (np.array([[-3, 500, 1000]], np.int32), 1000),
    ],
)
def test_values_without_a_range_are_refused_and_the_advice_works(
    client: Kandinsky, server: FakeServer, values: Any, white: int
) -> None:
    image = PIL.Image.fromarray(values)
    with pytest.raises(ValueError, match=r"mask: .* mode [IF] .*Scale it to 0 to 255") as refused:
        client.inpaint(PAIR, PIL.Image.new("RGB", (3, 1)), image)
    with pytest.raises(ValueError, match=r"conditions\[1\]: "):
        client.interpolate(["a", image], [0.5, 0.5])
    assert not server.requests
    (advice,) = re.findall(r"(PIL\.Image\.fromarray\(.*\)), where", str(refused.value))
    scaled = eval(advice.replace("WHITE", str(white)), {"PIL": PIL, "np": np, "image": image})
    shown = np.asarray(sent(client, server, scaled))
    assert abs(shown.astype(int) - [[0, 127, 255]]).max() <= 1


def photo(kind: str, orientation: int = 1, **options: Any) -> bytes:
    """Left black, right white; a colour profile over the limit of PNG readers."""
    exif = PIL.Image.Exif()
    exif[PIL.ExifTags.Base.Orientation] = orientation
    buffer = io.BytesIO()
    PIL.Image.fromarray(HALVES).convert("RGB").save(buffer, kind, exif=exif, icc_profile=PROFILE, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_large_profile_is_left_at_home(client: Kandinsky, server: FakeServer, kind: str) -> None:
    image = PIL.Image.open(io.BytesIO(photo(kind)))
    assert len(image.info["icc_profile"]) > 2**20
    assert sent(client, server, image).size == (8, 6)
    assert len(server.requests[-1].image.data) < 2000
    gray = PIL.Image.fromarray(HALVES)
    gray.info["icc_profile"] = PROFILE
    assert sent(client, server, gray).size == (8, 6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright(client: Kandinsky, server: FakeServer, orientation: int) -> None:
    """As the server turns the file itself, and a picture that is upright already stays as it is."""
    from kandinsky_server.images.codecs import decode_image

    data = photo("JPEG", orientation, quality=100)
    upright = decode_image(data, None, 10**6)
    assert sent(client, server, PIL.Image.open(io.BytesIO(data))).size == upright.size
    assert np.array_equal(
        np.asarray(sent(client, server, PIL.Image.open(io.BytesIO(data)))), np.asarray(upright)
    )
    turned = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(sent(client, server, turned)), np.asarray(upright))


def test_broken_exif_turns_nothing(client: Kandinsky, server: FakeServer) -> None:
    image = PIL.Image.fromarray(HALVES)
    image.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert sent(client, server, image).size == (8, 6)


def test_bytes_in_any_holder_are_sent_as_they_are(
    client: Kandinsky, server: FakeServer, tmp_path: Path
) -> None:
    data = photo("JPEG")
    (tmp_path / "photo.jpg").write_bytes(data)
    holders: list[Any] = [data, bytearray(data), memoryview(data), tmp_path / "photo.jpg"]
    for image in holders:
        client.img2img(PAIR, image)
        assert server.requests[-1].image.data == data
