from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import KandinskyV22Pipeline
from kandinsky_client import EmbeddingPair, Kandinsky

from benchmarks import naive


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[Kandinsky]:
    server, port = naive.start(tiny_model)
    with Kandinsky(f"{naive.HOST}:{port}") as connected:
        yield connected
    server.stop(None).wait()


@pytest.fixture(scope="module")
def pair(client: Kandinsky) -> EmbeddingPair:
    (result,) = client.prior("a red circle", seed=1, step_count=2)
    return result.embedding


def test_a_decode_is_the_pipelines_own_image(
    client: Kandinsky, pair: EmbeddingPair, tiny_model: Path
) -> None:
    pipeline = KandinskyV22Pipeline.from_pretrained(tiny_model / "decoder")
    pipeline.set_progress_bar_config(disable=True)
    assert pair.negative is not None
    (expected,) = pipeline(
        image_embeds=torch.from_numpy(pair.positive.array)[None],
        negative_image_embeds=torch.from_numpy(pair.negative.array)[None],
        num_inference_steps=3,
        guidance_scale=3.0,
        width=64,
        height=64,
        generator=torch.Generator().manual_seed(5),
    ).images
    (result,) = client.decode(pair, seed=5, step_count=3, guidance_scale=3.0)
    np.testing.assert_array_equal(result.array, np.asarray(expected))


def test_an_image_can_be_repainted(client: Kandinsky, pair: EmbeddingPair) -> None:
    (first,) = client.decode(pair, seed=5, step_count=2)
    (second,) = client.img2img(pair, first.image, seed=6, step_count=4, strength=0.5)
    assert second.image.size == first.image.size
    assert not np.array_equal(second.array, first.array)
