"""Images that come in: what is no picture, or too much of one, is refused before it is decoded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer
from PIL import Image

from tests.support.hostile import png_bomb, webp_bomb, with_chunk
from tests.support.raw import Raw, connected, good_requests, pair, picture, sampling

PNG = picture()
FRAMES: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (64, 64))]}


def raw_rgb(width: int, height: int, size: int) -> pb.InputImage:
    return pb.InputImage(data=bytes(size), format=pb.IMAGE_FORMAT_RAW_RGB8, width_px=width, height_px=height)


BAD = {
    "empty": (pb.InputImage(), "no PNG"),
    "text": (pb.InputImage(data=b"hello"), "no PNG"),
    "gif": (pb.InputImage(data=picture(kind="GIF")), "no PNG"),
    "truncated PNG": (pb.InputImage(data=PNG[: len(PNG) // 2]), "decoded"),
    "truncated JPEG": (pb.InputImage(data=picture(kind="JPEG")[:700]), "decoded"),
    "animated WebP": (pb.InputImage(data=picture(kind="WEBP", **FRAMES)), "animated"),
    "animated PNG": (pb.InputImage(data=picture(kind="PNG", **FRAMES)), "animated"),
    "bomb": (pb.InputImage(data=png_bomb(60_000, 60_000)), "pixels"),
    "bomb below Pillow's limit": (pb.InputImage(data=png_bomb(5000, 5000)), "pixels"),
    "WebP bomb": (pb.InputImage(data=webp_bomb(16_383, 16_383)), "16383x16383 pixels"),
    "empty transparency": (pb.InputImage(data=with_chunk(PNG, b"tRNS", b"")), "decoded"),
    "another format": (pb.InputImage(data=PNG, format=pb.IMAGE_FORMAT_JPEG), "JPEG"),
    "output only format": (pb.InputImage(data=PNG, format=pb.IMAGE_FORMAT_RAW_RGB_F32), "format"),
    "unknown format": (pb.InputImage(data=PNG, format=pb.ImageFormat.ValueType(99)), "format"),
    "another width": (pb.InputImage(data=PNG, width_px=65), "64x64"),
    "raw without size": (raw_rgb(0, 0, 12), "width_px"),
    "raw of negative size": (raw_rgb(-2, -2, 12), "width_px"),
    "raw with too few bytes": (raw_rgb(2, 2, 11), "12 bytes"),
    "raw bomb": (raw_rgb(2**31 - 1, 2**31 - 1, 12), "pixels"),
    "ribbon": (pb.InputImage(data=picture(1, 3000)), "longer"),
}


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


@pytest.mark.parametrize("case", BAD)
def test_a_bad_image_is_refused_with_the_reason(raw: Raw, case: str) -> None:
    image, words = BAD[case]
    request = image_pb2.Img2ImgRequest(embeddings=[pair()], image=image, strength=1, sampling=sampling())
    answer = raw.call("Img2Img", request)
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_IMAGE"), answer
    assert words in answer.violations["image"]


@pytest.mark.parametrize("field", ["image", "mask", "hint", "depth_from", "conditions[1]"])
def test_the_violation_names_the_field_that_holds_the_image(raw: Raw, field: str) -> None:
    bad = pb.InputImage(data=b"hello")
    requests = good_requests()
    inpaint, controlnet = requests["Inpaint"], requests["ControlNet"]
    interpolate = requests["Interpolate"]
    if field == "conditions[1]":
        interpolate.conditions[1].image.CopyFrom(bad)
        answer, field = raw.call("Interpolate", interpolate), "conditions[1].image"
    elif field in ("image", "mask"):
        getattr(inpaint, field).CopyFrom(bad)
        answer = raw.call("Inpaint", inpaint)
    else:
        getattr(controlnet, field).CopyFrom(bad)
        answer = raw.call("ControlNet", controlnet)
    assert list(answer.violations) == [field]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_png_is_a_picture(raw: Raw, mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (64, 48)).save(buffer, "PNG")
    request = prior_pb2.PriorRequest(
        prompts=["a cat"],
        strength=1,
        image=pb.InputImage(data=buffer.getvalue()),
        sampling=pb.PriorSampling(step_count=4),
    )
    assert raw.call("Prior", request).code == StatusCode.OK


def test_a_picture_with_broken_exif_is_a_picture(raw: Raw) -> None:
    image = pb.InputImage(data=with_chunk(PNG, b"eXIf", b"II*\0"))
    request = image_pb2.Img2ImgRequest(embeddings=[pair()], image=image, strength=1, sampling=sampling())
    assert raw.call("Img2Img", request).code == StatusCode.OK


def test_an_embedding_of_the_wrong_make_is_refused_part_by_part(raw: Raw) -> None:
    good = pair().positive
    wrong: dict[str, dict[str, Any]] = {
        "dtype": {"dtype": pb.DTYPE_UNSPECIFIED},
        "shape": {"shape": [len(good.data)]},
        "data": {"data": good.data[:-4]},
    }
    for part, change in wrong.items():
        request = good_requests()["Decode"]
        embedding = request.embeddings[0].positive
        for name, value in change.items():
            embedding.ClearField(name)
            embedding.MergeFrom(pb.Embedding(**{name: value}))
        answer = raw.call("Decode", request)
        assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_EMBEDDING")
        assert list(answer.violations) == [f"embeddings[0].positive.{part}"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_embedding_that_is_not_finite_is_refused(raw: Raw, value: float) -> None:
    values = np.frombuffer(pair().positive.data, "<f4").copy()
    values[3] = value
    request = good_requests()["Decode"]
    request.embeddings[0].negative.data = values.tobytes()
    answer = raw.call("Decode", request)
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_EMBEDDING")
    assert list(answer.violations) == ["embeddings[0].negative.data"]


@pytest.mark.parametrize(("weight", "scale"), [(1e300, 1), (3e38, 1), (1000, 1000)])
def test_a_mixture_that_is_too_large_is_the_clients_fault(raw: Raw, weight: float, scale: float) -> None:
    """Weights by themselves, or times an embedding that would be taken by itself."""
    request = good_requests()["Interpolate"]
    request.conditions[1].embedding.CopyFrom(pair(scale=scale).positive)
    request.weights[0].values[:] = [weight, weight]
    answer = raw.call("Interpolate", request)
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"), answer
    assert "weights[0]" in answer.violations
