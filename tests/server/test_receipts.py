"""A receipt is enough to get the same result again: it says which RPC, and every setting that counts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from kandinsky_client import EmbeddingPair, Kandinsky, Receipt
from kandinsky_server.testing.running import RunningServer
from PIL.PngImagePlugin import PngImageFile

from tests.support.raw import picture

OPTIONS: dict[str, Any] = {"image_count": 2, "seed": 11}
IMAGE, MASK = picture(64, 64), picture(64, 64, kind="WEBP")


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    """One that remembers no embeddings, and gives the same bits whoever else is served."""
    with RunningServer(tiny_model, prior_cache_size=0, deterministic=True) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[Kandinsky]:
    with server.client() as connected:
        yield connected


def settings(receipt: Receipt, *more: str) -> dict[str, Any]:
    names = ("seed", "step_count", "guidance_scale", "strength", *more)
    return {name: getattr(receipt, name) for name in names}


def generate_again(client: Kandinsky, receipt: Receipt, **pictures: Any) -> Any:
    names = ("negative_prompt", "prior_seed", "prior_step_count", "prior_guidance_scale")
    chosen = settings(receipt, *names, "width_px", "height_px") | pictures
    if receipt.paste_original:
        chosen["paste_original"] = True
    assert receipt.prompt is not None
    return client.generate(receipt.prompt, **chosen)[0]


GENERATED: dict[str, dict[str, Any]] = {
    "plain": {"prior_step_count": 3, "step_count": 2},
    "guided otherwise": {
        "prior_step_count": 2,
        "prior_guidance_scale": 1.0,
        "step_count": 3,
        "guidance_scale": 2.5,
        "negative_prompt": "blue",
        "width_px": 128,
    },
    "an empty negative prompt": {"prior_step_count": 2, "step_count": 2, "negative_prompt": ""},
    "from an image": {"prior_step_count": 2, "step_count": 4, "strength": 0.5, "image": IMAGE},
    "inpainted": {
        "prior_step_count": 2,
        "step_count": 2,
        "image": IMAGE,
        "mask": MASK,
        "paste_original": True,
    },
}


@pytest.mark.parametrize("case", GENERATED)
def test_generate_is_made_again_from_its_receipt_alone(client: Kandinsky, case: str) -> None:
    asked = GENERATED[case]
    pictures = {name: asked[name] for name in ("image", "mask") if name in asked}
    images = client.generate(["a cat", "a red circle"], **asked, **OPTIONS)
    for index in (1, 2):
        result = images[index]
        told = Receipt.from_json(result.receipt.to_json())
        assert told.prompt == ("a cat", "a red circle")[result.source_index]
        assert np.array_equal(generate_again(client, told, **pictures).array, result.array)


@pytest.mark.parametrize("negative", [None, "", "blue"])
def test_prior_is_made_again_from_its_receipt_alone(client: Kandinsky, negative: str | None) -> None:
    """No negative prompt and an empty one are different embeddings."""
    result = client.prior(["a", "b"], negative_prompt=negative, step_count=3, guidance_scale=3, **OPTIONS)[3]
    told = Receipt.from_json(result.receipt.to_json())
    assert told.negative_prompt == negative
    again = client.prior(told.prompt or "", negative_prompt=told.negative_prompt, **settings_of_prior(told))[
        0
    ]
    assert again.embedding.positive == result.embedding.positive
    assert again.embedding.negative == result.embedding.negative


def settings_of_prior(receipt: Receipt) -> dict[str, Any]:
    return settings(receipt) if receipt.strength else {**settings(receipt), "strength": None}


def test_interpolate_is_made_again_from_its_receipt_alone(client: Kandinsky) -> None:
    mixed = client.interpolate(
        ["a cat", "a red circle"],
        [[0.5, 0.5], [0.2, 0.8]],
        negative_prior_prompt="blue",
        negative_prompt="green",
        step_count=3,
        **OPTIONS,
    )[3]
    told = Receipt.from_json(mixed.receipt.to_json())
    assert told.condition_texts == {0: "a cat", 1: "a red circle"}
    chosen = {name: getattr(told, name) for name in ("seed", "step_count", "guidance_scale")}
    again = client.interpolate(
        [told.condition_texts[place] for place in sorted(told.condition_texts)],
        told.weights,
        negative_prior_prompt=told.negative_prior_prompt,
        negative_prompt=told.negative_prompt or "",
        **chosen,
    )[0]
    assert again.embedding.positive == mixed.embedding.positive
    assert again.embedding.negative == mixed.embedding.negative


CALLS: dict[str, Callable[[Kandinsky, EmbeddingPair, dict[str, Any]], Any]] = {
    "Decode": lambda client, pair, chosen: client.decode(pair, **chosen),
    "Img2Img": lambda client, pair, chosen: client.img2img(pair, IMAGE, **chosen),
    "Inpaint": lambda client, pair, chosen: client.inpaint(pair, IMAGE, MASK, **chosen),
    "ControlNet": lambda client, pair, chosen: client.controlnet(pair, hint=IMAGE, **chosen),
}


@pytest.mark.parametrize("rpc", CALLS)
def test_images_are_made_again_from_what_the_caller_holds_and_the_receipt(
    client: Kandinsky, rpc: str
) -> None:
    pair = client.prior("a cat", step_count=2, seed=1)[0].embedding
    asked: dict[str, Any] = {"step_count": 4, "guidance_scale": 2.0, "height_px": 128, **OPTIONS}
    if rpc == "Img2Img":
        asked["strength"] = 0.5
    result = CALLS[rpc](client, pair, asked)[1]
    told = Receipt.from_json(result.receipt.to_json())
    assert told.rpc == rpc
    chosen = settings(told, "width_px", "height_px")
    if told.strength is None:
        del chosen["strength"]
    assert np.array_equal(CALLS[rpc](client, pair, chosen)[0].array, result.array)


@pytest.mark.slow
def test_a_picture_file_is_enough_to_make_it_again(
    server: RunningServer, client: Kandinsky, tmp_path: Path
) -> None:
    """Of what the command line saves the picture carries its receipt; and its JSON says the same."""
    steps = ["--prior-steps", "2", "--steps", "2", "-n", "2", "--json"]
    out = ["-o", str(tmp_path / "a.png")]
    command = [
        sys.executable,
        "-c",
        "from kandinsky_client.cli import main; main()",
        "--target",
        server.target,
    ]
    ended = subprocess.run(
        [*command, "generate", "a cat", "a dog", *steps, *out], capture_output=True, timeout=120, check=True
    )
    said = json.loads(ended.stdout)
    for place, result in enumerate(said["results"]):
        assert (result["prompt"], result["source_index"]) == (("a cat", "a dog")[place // 2], place // 2)
        with PIL.Image.open(result["path"]) as saved:
            assert isinstance(saved, PngImageFile)
            told = Receipt.from_json(saved.text["kandinsky"])
            pixels = np.asarray(saved)
        assert told.prompt == result["prompt"] == result["receipt"]["prompt"]
        assert told == Receipt.from_json(json.dumps(result["receipt"]))
        assert np.array_equal(generate_again(client, told).array, pixels)
