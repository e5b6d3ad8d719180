"""What the package hands out can be pickled, copied, shown in a line, and looked up."""

from __future__ import annotations

import copy
import io
import math
import pickle
import pydoc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import grpc
import kandinsky_client
import numpy as np
import PIL.Image
import pytest
from kandinsky_client import (
    AsyncKandinsky,
    CallOptions,
    Embedding,
    EmbeddingPair,
    EmbeddingReady,
    FieldViolation,
    ImageReady,
    ImageResult,
    Kandinsky,
    KandinskyError,
    Preview,
    Receipt,
    RpcError,
    Tls,
)

from tests.client.fake_server import WIDTH, Failure, FakeServer
from tests.client.test_calls import PAIR

COPIES: list[Callable[[Any], Any]] = [
    *(lambda value, p=p: pickle.loads(pickle.dumps(value, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)),
    copy.copy,
    copy.deepcopy,
]


def subclasses(kind: type[KandinskyError]) -> list[type[KandinskyError]]:
    return [kind, *(below for each in kind.__subclasses__() for below in subclasses(each))]


@pytest.mark.parametrize("kind", subclasses(KandinskyError), ids=lambda kind: kind.__name__)
def test_every_error_survives_copying(kind: type[KandinskyError]) -> None:
    error: Any = (
        kind("no")
        if not issubclass(kind, RpcError)
        else kind(
            grpc.StatusCode.INVALID_ARGUMENT,
            "steps",
            reason="INVALID_FIELD",
            field_violations=(FieldViolation("step_count", "must be 1"),),
            retry_delay=1.5,
            request_id="request-1",
        )
    )
    for made in (copy_(error) for copy_ in COPIES):
        assert type(made) is kind
        assert str(made) == str(error)
        assert vars(made) == vars(error)


def ask(target: str, prompt: str) -> int:
    with Kandinsky(target, retries=0) as client:
        return client.prior(prompt, seed=3).seed


def test_a_pool_of_processes_survives_a_bad_request(target: str, server: FakeServer) -> None:
    server.failures.append(Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "prompts are too long"))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(kandinsky_client.InvalidRequestError, match="too long") as caught:
            pool.submit(ask, target, "a").result(timeout=60)
        assert caught.value.request_id == "request-1"
        assert pool.submit(ask, target, "a").result(timeout=60) == 3


def results(client: Kandinsky) -> list[Any]:
    events = list(client.stream.generate("a cat" * 400, preview_interval_steps=1, width_px=512))
    made, images = client.prior("a cat"), client.generate("a cat", embed_receipt=True)
    assert images[0].image
    return [
        *events,
        made,
        images,
        made[0],
        images[0],
        PAIR,
        PAIR.positive,
        Embedding.from_array(np.ones(1280), prior_fingerprint="f" * 64),
        images[0].receipt,
        Receipt(rpc="Prior", seed=1, prompt="a\n" * 1000, weights=(1.0,) * 1000),
        made.completed,
        client.estimate.prior("a"),
        Tls(b"roots" * 10_000),
        FieldViolation("a", "b"),
    ]


def test_every_result_survives_copying_and_is_a_line(client: Kandinsky) -> None:
    for value in results(client):
        assert len(repr(value)) < 600, type(value)
        assert "\n" not in repr(value)
        assert "\\x" not in repr(value)
        for made in (copy_(value) for copy_ in COPIES):
            assert type(made) is type(value)
            assert repr(made) == repr(value)
            if hasattr(value, "__len__"):
                assert list(made) == list(value)
            else:
                assert made == value


def test_what_the_server_says_survives_copying(client: Kandinsky) -> None:
    info = client.info()
    assert all(copy_(info) == info for copy_ in COPIES)


def test_a_decoded_image_is_not_pickled_with_its_bytes(client: Kandinsky) -> None:
    result = client.generate("a", width_px=512, height_px=512)[0]
    before = len(pickle.dumps(result))
    assert result.image.size == (512, 512)
    assert len(pickle.dumps(result)) == before
    assert pickle.loads(pickle.dumps(result)).image.size == (512, 512)


async def test_a_copied_client_has_a_connection_of_its_own(target: str, server: FakeServer) -> None:
    with Kandinsky(target, token="secret", metadata=[("x-a", "b")], timeout=math.inf) as client:
        copies = [copy_(client) for copy_ in COPIES]
    for made in copies:
        with made:
            assert made.info().device == "cpu"
        assert server.metadata[-1]["authorization"] == "Bearer secret"
        assert server.metadata[-1]["x-a"] == "b"
    async with AsyncKandinsky(target) as first, pickle.loads(pickle.dumps(first)) as second:
        assert (await second.info()).device == "cpu"


def test_a_stream_says_that_it_can_not_be_copied(client: Kandinsky) -> None:
    with client.stream.prior("a") as events:
        for copy_ in COPIES:
            with pytest.raises(TypeError, match="its events can"):
                copy_(events)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp", "raw_rgb8", "raw_rgb_f32"])
def test_images_show_themselves_in_notebooks(client: Kandinsky, image_format: Any) -> None:
    (result,) = client.decode(PAIR, format=image_format)
    shown = PIL.Image.open(io.BytesIO(result._repr_png_()))
    assert shown.format == "PNG"
    assert np.array_equal(np.asarray(shown), np.asarray(result.image))


def test_previews_show_themselves_in_notebooks(client: Kandinsky) -> None:
    (preview,) = [e for e in client.stream.generate("a", preview_interval_steps=1) if isinstance(e, Preview)]
    assert PIL.Image.open(io.BytesIO(preview._repr_png_())).format == "PNG"


def test_options_are_public_and_help_names_them() -> None:
    for name in ("CallOptions", "PriorOptions", "ImageOptions", "ClientOptions"):
        options = getattr(kandinsky_client, name)
        assert name in pydoc.render_doc(kandinsky_client.Kandinsky) or name == "CallOptions"
        text = pydoc.plain(pydoc.render_doc(options))
        inherited = CallOptions.__annotations__.keys() if "CallOptions" in text else set()
        for option in options.__annotations__.keys() - (set() if name == "CallOptions" else inherited):
            assert f"{option}:" in text, (name, option)
    assert "kandinsky_client.ImageOptions" in pydoc.plain(pydoc.render_doc(Kandinsky.decode))
    assert "kandinsky_client.PriorOptions" in pydoc.plain(pydoc.render_doc(Kandinsky.prior))
    assert "kandinsky_client.ClientOptions" in pydoc.plain(pydoc.render_doc(Kandinsky))


def test_lines_say_what_matters() -> None:
    pair = EmbeddingPair(Embedding.from_array(np.ones(WIDTH), prior_fingerprint="5105dd1e92fc7a"))
    assert repr(pair) == "<EmbeddingPair <Embedding f32 [8], prior 5105dd1e92fc>, no negative>"
    image = ImageResult(0, 0, b"x" * 99, "png", 64, 32, Receipt(rpc="Decode", seed=7, step_count=5))
    assert repr(ImageReady(image)) == ("ImageReady(result=<ImageResult 0 of seed 7: 64x32 png, 99 bytes>)")
    assert repr(image.receipt) == "Receipt(rpc='Decode', seed=7, step_count=5)"
    assert "EmbeddingReady" in repr(EmbeddingReady)
