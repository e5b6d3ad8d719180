"""Values that no call can carry are told by the argument's name; nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from kandinsky_client import AsyncKandinsky, Embedding, Kandinsky

from tests.client.fake_server import WIDTH, FakeServer
from tests.client.test_calls import PAIR, picture

Call = Callable[[Any], Any]

WRONG: dict[str, tuple[Call, type[Exception], str]] = {
    "seed too large": (lambda c: c.prior("a", seed=2**63), ValueError, "seed must .* 2\\*\\*63 - 1"),
    "seed far too large": (lambda c: c.decode(PAIR, seed=10**400), ValueError, "seed .* bits"),
    "seed of a float": (lambda c: c.prior("a", seed=1.5), TypeError, "seed must be an int, not float"),
    "count too large": (lambda c: c.prior("a", image_count=2**31), ValueError, "image_count .*limits"),
    "steps too many": (lambda c: c.decode(PAIR, step_count=2**40), ValueError, "step_count .*limits"),
    "steps far below": (lambda c: c.decode(PAIR, step_count=-(2**40)), ValueError, "not be negative"),
    "prior steps": (lambda c: c.generate("a", prior_step_count="9"), TypeError, "prior_step_count must be"),
    "width of a float": (lambda c: c.decode(PAIR, width_px=64.0), TypeError, "width_px must be an int"),
    "guidance text": (lambda c: c.decode(PAIR, guidance_scale="4"), TypeError, "guidance_scale must be a"),
    "guidance huge": (lambda c: c.decode(PAIR, guidance_scale=10**400), ValueError, "guidance_scale is too"),
    "strength text": (lambda c: c.img2img(PAIR, picture(), strength="1"), TypeError, "strength must be"),
    "quality": (lambda c: c.decode(PAIR, quality=2**31), ValueError, "quality"),
    "paste": (lambda c: c.inpaint(PAIR, picture(), picture(), paste_original="no"), TypeError, "paste_orig"),
    "receipt": (lambda c: c.decode(PAIR, embed_receipt="yes"), TypeError, "embed_receipt must be True or"),
    "priority": (lambda c: c.decode(PAIR, priority=["high"]), ValueError, "priority must be one of low"),
    "preview format": (lambda c: c.decode(PAIR, preview_format="gif"), ValueError, "preview_format must be"),
    "interval": (lambda c: c.decode(PAIR, progress_interval_steps=2**31), ValueError, "progress_interval"),
    "negative list": (
        lambda c: c.prior("a", negative_prompt=["b"]),
        TypeError,
        "negative_prompt must be a str",
    ),
    "negative of mix": (
        lambda c: c.interpolate(["a"], [1], negative_prior_prompt=["b"]),
        TypeError,
        "negative_prior_prompt must be a str, not list",
    ),
    "no prompts": (lambda c: c.prior(None), TypeError, "prompts must be a str or several, not NoneType"),
    "prompts of bytes": (
        lambda c: c.prior(b"a cat"),
        TypeError,
        "prompts must be a str or several, not bytes",
    ),
    "prompts of numbers": (lambda c: c.generate(["a", 3]), TypeError, r"prompts\[1\] must be a str, not int"),
    "prompt not of characters": (lambda c: c.prior("caf\udce9"), ValueError, r"prompts\[0\] holds .*UTF-8"),
    "text not of characters": (lambda c: c.interpolate(["\udce9"], [1]), ValueError, "text holds .*UTF-8"),
    "one condition": (lambda c: c.interpolate("a cat", [1]), TypeError, "conditions must be several"),
    "condition of a number": (lambda c: c.interpolate([3], [1]), TypeError, r"conditions\[0\]: expected an"),
    "ragged weights": (
        lambda c: c.interpolate(["a"], [[1], [1, 2]]),
        ValueError,
        "weights must be one number",
    ),
    "deep weights": (lambda c: c.interpolate(["a"], [[[1]]]), ValueError, "weights must be one number"),
    "weights of texts": (lambda c: c.interpolate(["a"], ["x"]), ValueError, "weights must be one number"),
    "embeddings of an array": (lambda c: c.decode(np.ones(1280)), TypeError, "not ndarray; .*from_array"),
    "image of a number": (lambda c: c.img2img(PAIR, 3), TypeError, "image: expected an image"),
    "mask of an array": (lambda c: c.inpaint(PAIR, picture(), np.ones(3)), TypeError, "mask: expected an"),
    "metadata newline": (lambda c: c.prior("a", metadata=[("x-a", "b\n")]), ValueError, "'x-a' must be"),
    "metadata accent": (lambda c: c.prior("a", metadata=[("x-a", "é")]), ValueError, "'x-a' must be print"),
    "metadata key": (lambda c: c.info(metadata=[("X A", "b")]), ValueError, "key 'X A' must be of"),
    "metadata of gRPC": (lambda c: c.info(metadata=[("grpc-x", "b")]), ValueError, "start with 'grpc-'"),
    "metadata type": (lambda c: c.info(metadata=[("x-a", 3)]), TypeError, "'x-a' must be a str, not int"),
    "metadata bytes": (lambda c: c.info(metadata=[("x-a-bin", "b")]), TypeError, "must be bytes, not str"),
    "metadata shape": (lambda c: c.info(metadata=["x-a"]), TypeError, "pairs of texts"),
}
RAW = ("google", "protobuf", "0x", "INTERNAL", "operation", "inhomogeneous", "codec", "ndarray(")


@pytest.mark.parametrize("case", WRONG)
def test_what_can_not_be_sent_is_named(client: Kandinsky, server: FakeServer, case: str) -> None:
    call, kind, words = WRONG[case]
    with pytest.raises(kind, match=words) as refused:
        call(client)
    assert len(str(refused.value)) < 400
    assert not any(raw in str(refused.value) for raw in RAW)
    assert not server.requests


@pytest.mark.parametrize("case", ["seed too large", "negative list", "metadata newline", "metadata accent"])
async def test_the_async_client_names_it_alike(async_client: AsyncKandinsky, case: str) -> None:
    call, kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        await call(async_client)


def test_numbers_of_numpy_are_numbers(client: Kandinsky, server: FakeServer) -> None:
    numbers: dict[str, Any] = {
        "seed": np.int64(7),
        "guidance_scale": np.float32(2),
        "embed_receipt": np.bool_(True),
    }
    client.decode(PAIR, **numbers)
    assert server.requests[-1].sampling.seed == 7
    assert server.requests[-1].sampling.guidance_scale == 2
    prompts: Any = (prompt for prompt in ("a", "b"))
    client.prior(prompts, seed=2**63 - 2, metadata=None)
    assert list(server.requests[-1].prompts) == ["a", "b"]


@pytest.mark.parametrize(
    ("token", "words"),
    [("secret\n", "white space"), ("sécret", "ASCII"), ("se\ncret", "ASCII"), ("\u20ac", "ASCII")],
)
def test_a_token_that_no_header_holds_is_refused(target: str, token: str, words: str) -> None:
    for kind in (Kandinsky, AsyncKandinsky):
        with pytest.raises(ValueError, match=f"token .*{words}") as refused:
            kind(target, token=token)
        assert token not in str(refused.value)
    with pytest.raises(TypeError, match="token must be a str, not bytes"):
        Kandinsky(target, token=b"secret")  # type: ignore[arg-type]


def test_metadata_goes_with_every_call_whatever_holds_it(target: str, server: FakeServer) -> None:
    metadata: Iterator[tuple[str, str | bytes]] = iter([("x-team", "a b~!"), ("x-bin", b"\xff")])
    with Kandinsky(target, metadata=metadata) as client:
        for _ in range(2):
            client.info()
            assert server.metadata[-1]["x-team"] == "a b~!"
            assert server.metadata[-1]["x-bin"] == b"\xff"
    with pytest.raises(ValueError, match="'x-team' must be"):
        Kandinsky(target, metadata=[("x-team", "a\r\nb")])
    with pytest.raises(ValueError, match="retries"):
        Kandinsky(target, retries=-1)


def test_an_array_that_is_no_embedding_is_refused() -> None:
    for array, kind, words in [
        (np.ones((4, WIDTH)), ValueError, "one row after the other"),
        (np.float32(1), ValueError, r"\[width\]"),
        (["a"], TypeError, "real numbers"),
        (np.ones(WIDTH, complex), TypeError, "real numbers"),
        (None, TypeError, "real numbers"),
    ]:
        with pytest.raises(kind, match=words):
            Embedding.from_array(array)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype must be one of f32, f16, bf16"):
        Embedding(b"", "f64", (0,))  # type: ignore[arg-type]
